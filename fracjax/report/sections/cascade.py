"""Both stages together: what becomes of each fracture, and at other thresholds."""

from fracjax.inference.cascade import Cascade
from fracjax.report.charts.cascade_flow import cascade_flow_chart
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.sweep import sweep_chart
from fracjax.report.page import Prose, Section
from fracjax.report.tables import cascade_tables, end_to_end_table, misses_table


def fates_section(cascade: Cascade) -> Section:
    """Found, mistyped, missed, by true class."""
    fates, _ = cascade_tables(cascade.report)
    words = (
        "Lost are those of the missed that the classifier alone would have typed rightly: what the "
        "detector's misses cost. The other missed studies it would have got wrong anyway."
    )
    return Section(
        "fates",
        "What becomes of each fracture",
        (cascade_flow_chart(cascade.report), fates, misses_table(cascade.report), Prose((words,))),
    )


def filter_section(cascade: Cascade) -> Section:
    """The classifier with and without the detector in front."""
    report = cascade.report
    without, behind = report.without_filter, report.with_filter
    words = (
        "Precision with the filter is end to end: of all fractures that are called so, the share "
        "that is so. Recall with the filter is among those that passed; the fates above have that "
        "of all. Every study here has a fracture; the next table adds false alarms."
    )
    return Section(
        "filter",
        "With and without the detector in front",
        (
            cascade_tables(report)[1],
            Prose((words,)),
            confusion_chart(without.matrix, without.classes, "Without the filter"),
            confusion_chart(behind.matrix, behind.classes, "With the filter"),
        ),
    )


def end_to_end_section(cascade: Cascade) -> Section:
    """What a called type is worth when normal studies come, too."""
    report = cascade.end_to_end
    name = cascade.stages.detector.bundle.meta.config.data.name
    words = (
        f"The {report.n_normal} normal studies of {name} ({cascade.part}) went through both "
        f"stages: {report.alarms.figure} of them pass the detector, and each is then called some "
        "type, wrongly. Precision here counts them, each set weighed so that "
        f"{report.prevalence:.1%} are fractures, as in {name}: it is not the quotient of the "
        "counts beside it. Fractures and normal studies are of two datasets, which differ in more "
        "than the fracture."
    )
    return Section(
        "end-to-end", "When normal studies come, too", (end_to_end_table(report), Prose((words,)))
    )


def sweep_section(cascade: Cascade) -> Section:
    """The whole over all thresholds of the detector."""
    sweep = cascade.sweep
    words = (
        "A look at what another threshold would do, not a way to choose one: these are the studies "
        "that judge it. Choose on validation."
    )
    return Section(
        "sweep",
        "Other thresholds",
        (
            sweep_chart(sweep.passed, sweep.found, sweep.macro_precision, cascade.report.threshold),
            Prose((words,)),
        ),
    )
