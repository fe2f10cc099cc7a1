"""Where the studies come from, which were refused, and that none of them was seen before."""

from fracjax.report.charts.flow import data_flow_chart
from fracjax.report.facts import DataFacts
from fracjax.report.page import Facts, Prose, Section


def data_section(data: DataFacts) -> Section:
    """The flow of files into the parts, and the leakage audit."""
    duplicates = [n for n in data.groups if n > 1]
    facts = (
        ("Dataset", data.name),
        ("Split", f"{data.split_hash[:12]}, seed {data.seed}, by group"),
        (
            "Near duplicates",
            f"{len(duplicates)} groups of two or more, {sum(duplicates)} studies; each group lies "
            "in one part",
        ),
        *(("Audit", audit) for audit in data.audits),
    )
    pictures = ", and no picture that is nearly another's, turned or mirrored"
    words = (
        "The audit was made anew for this report: no file and no group may be on both "
        f"sides{pictures if data.compared else ''}. One such pair and there would be no report.",
        "Phantoms are drawn one by one, so their pictures are not compared."
        if data.drawn
        else "Patients are not known here: two studies of one person may still lie in two parts.",
    )
    chart = data_flow_chart(data.files, data.refused, data.parts)
    return Section("data", "The data", (chart, Facts(facts), Prose(words), data.audit_table))
