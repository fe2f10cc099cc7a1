"""Another dataset than that of training: what was evaluated of it, and how it differs."""

from fracjax.evaluation.drift import Distribution, Drift
from fracjax.report.charts.flow import data_flow_chart
from fracjax.report.charts.scores import scores_chart
from fracjax.report.facts import ExternalFacts, RunFacts
from fracjax.report.page import Facts, Prose, Section, text
from fracjax.report.table import Table, pluralise

_SHOWN = 20


def drift_section(drift: Drift | None, run: RunFacts, external: ExternalFacts) -> Section:
    """Images, classes and scores against those of training and validation, if these are there."""
    if drift is None:
        why = f"Not measured: {run.data.name}, on which the networks were trained, is not at hand "
        return Section("drift", "Drift", (text(f"{why}({external.gone})."),))
    detector = run.point is not None
    what = "score" if detector else "probability of the called class"
    chart = scores_chart(drift.scores, what=what, of="validation", here=external.name)
    return Section(
        "drift",
        "Drift",
        (
            text(
                f"How {external.name} differs from {run.data.name}, on which the networks were "
                "trained: images, sizes and classes against the training part, scores and calls "
                "against validation, which no network was fitted on. Greys are those that the "
                "networks see, 0 to 255. Drift says that figures may differ, not why."
            ),
            Prose((_beyond(drift),), "note"),
            fractions_table(drift),
            values_table(drift),
            shifts_table(drift),
            text(
                "Higher here: how often a random study here has a higher value than a random "
                "study of the reference; 0.5 is no drift. Distance is Kolmogorov and Smirnov's: "
                "the largest gap between both cumulative distributions, 0 to 1; in brackets what "
                "it exceeds by chance in at most 5 % of cases, of so many groups.",
                "Unlike the training images: outside of the range of 99.8 % of them in mean grey, "
                "contrast, black, white or detail.",
            ),
            chart,
        ),
    )


def fractions_table(drift: Drift) -> Table:
    """What fraction of the studies is so, there and here."""
    rows = tuple(
        (f"{row.name} ({row.of})", row.reference, row.here, row.difference)
        for row in drift.fractions
    )
    header = ("fraction (reference)", "reference", "here", "here − reference")
    return Table("Fractions, here against the reference", header, rows)


def values_table(drift: Drift) -> Table:
    """Where values lie, there and here."""
    rows = tuple(
        (f"{row.name} ({row.of})", _quantiles(row.reference), _quantiles(row.here))
        for row in drift.shifts
    )
    header = ("value (reference)", "reference", "here")
    return Table("Values: median [5 %, 95 % quantile]", header, rows)


def shifts_table(drift: Drift) -> Table:
    """How far apart values are."""
    rows = tuple(
        (
            f"{row.name} ({row.of})",
            row.higher,
            f"{row.ks:.3f} (chance: {row.ks_by_chance:.3f})",
        )
        for row in drift.shifts
    )
    header = ("value (reference)", "higher here", "distance")
    return Table("Values, here against the reference", header, rows)


def external_data_section(external: ExternalFacts) -> Section:
    """The flow of its files, and the audit against what the run has seen."""
    data, gone = external.data, list(external.left_out.values())
    many = [n for n in data.groups if n > 1]
    facts = (
        ("Dataset", data.name),
        ("Where", external.path),
        (
            f"Groups by {data.group_by}" if data.group_by else "Near duplicates",
            f"{len(many)} groups of two or more, {sum(many)} studies of all that are there",
        ),
        *(("Audit", audit) for audit in data.audits),
        *(("Note", note) for note in external.notes),
    )
    images = ", or an image that is nearly another's, turned or mirrored," if data.compared else ""
    words = text(
        f"The audit was made anew for this report: a file{images} that training or validation has, "
        "too, ends it, or is left out with its group where that is asked for."
    )
    flow = data_flow_chart(data.files, data.refused, data.parts)
    blocks = [flow, Facts(facts), words, data.audit_table]
    if gone:
        title = f"Left out, since the run has seen them: {pluralise(len(gone), 'study')}"
        title += f", the first {_SHOWN}; metrics.json has all" if len(gone) > _SHOWN else ""
        blocks.append(Table(title, ("study, and why",), tuple((why,) for why in gone[:_SHOWN])))
    return Section("data", "The data", tuple(blocks))


def _beyond(drift: Drift) -> str:
    rows = (*drift.fractions, *drift.shifts)
    found = [row.name for row in rows if row.beyond_chance]
    n = f"{len(found)} of {len(rows)} comparisons"
    if not found:
        return f"{n} differ by more than chance explains."
    return (
        f"{n} differ by more than chance explains in 19 of 20 cases; one in twenty would without "
        f"drift. They are: {'; '.join(found)}."
    )


def _quantiles(values: Distribution) -> str:
    low, median, high = (f"{value:.3g}" for value in (values.low, values.median, values.high))
    return f"{median} [{low}, {high}] n={values.n}"
