"""Both stages together: what becomes of each fracture, and at other thresholds."""

from fracjax.evaluation import CascadeReport
from fracjax.evaluation.cascade import CascadeSweep, EndToEnd
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.curves import sweep_chart
from fracjax.report.charts.flow import cascade_flow_chart
from fracjax.report.page import Section, text
from fracjax.report.table import studies_of
from fracjax.report.tables import cascade_tables, end_to_end_table, misses_table


def outcomes_section(report: CascadeReport) -> Section:
    """Found, mistyped, missed, by true class."""
    words = text(
        "Lost are those of the missed that the classifier alone would have typed rightly: what the "
        "detector's misses cost. The other missed studies it would have got wrong anyway."
    )
    outcomes, _ = cascade_tables(report)
    blocks = (cascade_flow_chart(report), outcomes, misses_table(report), words)
    return Section("fates", f"What becomes of each {report.detector_classes[1]} study", blocks)


def filter_section(report: CascadeReport) -> Section:
    """The classifier with and without the detector in front."""
    words = text(
        "Precision with the filter is end to end: of all studies that are called so, the "
        "fraction that is so. Recall with the filter is among those that passed; the fates above "
        f"have that of all. Every study here is {report.detector_classes[1]}; the next table adds "
        "false alarms."
    )
    sides = {"Without the filter": report.without_filter, "With the filter": report.with_filter}
    charts = (confusion_chart(side.matrix, side.classes, title) for title, side in sides.items())
    _, comparison = cascade_tables(report)
    blocks = (comparison, words, *charts)
    return Section("filter", "With and without the detector in front", blocks)


def end_to_end_section(report: EndToEnd, name: str, part: str) -> Section:
    """What a called type is worth when the normal studies of the detector's dataset come, too."""
    negative, positive = report.detector_classes
    words = text(
        f"The {studies_of(report.n_normal, negative)} of {name} ({part}) went through both "
        f"stages: {report.alarms.figure} of them pass the detector, and each is then called some "
        "type, wrongly. Precision here counts them, each set weighed so that "
        f"{report.prevalence:.1%} are {positive}, as in {name}: it is not the quotient of the "
        f"counts beside it. The {positive} and the {negative} studies are of two datasets, which "
        "differ in more than that."
    )
    title = f"When {negative} studies come, too"
    return Section("end-to-end", title, (end_to_end_table(report), words))


def sweep_section(sweep: CascadeSweep, threshold: float) -> Section:
    """The whole over all thresholds of the detector."""
    words = text(
        "A look at what another threshold would do, not a way to choose one: these are the studies "
        "that it is evaluated on. Choose on validation."
    )
    chart = sweep_chart(sweep, threshold)
    return Section("sweep", "Other thresholds", (chart, words))
