"""Two checkpoints on the same studies: paired tests, which see more than two intervals do."""

from pathlib import Path

from jax.sharding import Mesh
from rich.console import Console

from fracjax.config.class_names import print_roles
from fracjax.errors import InputError
from fracjax.evaluation import Comparison, compare_classifiers, compare_detectors
from fracjax.inference.calibration import about
from fracjax.inference.ensemble_bundle import read_all_metas
from fracjax.inference.ensemble_folder import folder_of
from fracjax.inference.evaluate_run import EvaluatedRun, evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.report.page import Page, Section, text
from fracjax.report.sections.run import data_section
from fracjax.report.sections.summary import NOT_A_DEVICE
from fracjax.report.table import threshold_text
from fracjax.report.tables import comparison_tables
from fracjax.runtime.atomic_files import to_json
from fracjax.workflows.pages import data_facts, report_files, run_text, write_report


def compare(
    first: Path,
    second: Path,
    part: str,
    mesh: Mesh,
    console: Console,
    folder: Path,
    *,
    data_dir: Path | None = None,
) -> None:
    """Evaluate both anew, each at its own threshold and temperature, and test the difference.

    `first` and `second` are workdirs, or packed runs, of the same classes on one split; `data_dir`
    is where the prepared datasets are now, by default where each config says.
    """
    first, second = folder_of(first), folder_of(second)
    _check_comparable(first, second)
    requests = [EvaluationRequest(run, part, data_dir=data_dir) for run in (first, second)]
    runs = [evaluate_run(request, mesh) for request in requests]
    print_roles(console, runs[0].bundle.meta.classes)
    predictions = (runs[0].predictions, runs[1].predictions)
    one, other = (run.calibration.point for run in runs)
    if one is None or other is None:
        comparison = compare_classifiers(*predictions)
    else:
        comparison = compare_detectors(*predictions, (one.threshold, other.threshold))
    source = {"part": part, "first": about(runs[0].bundle), "second": about(runs[1].bundle)}
    metrics = {"source": source, "figures": to_json(comparison)}
    page, tables = _page(runs, comparison), comparison_tables(comparison)
    with report_files(folder) as files:
        write_report(files, metrics, tables, page, console)


def _check_comparable(*workdirs: Path) -> None:
    metas = [read_all_metas(workdir)[0] for workdir in workdirs]
    facts = {
        "classes": [", ".join(meta.classes) for meta in metas],
        "split": [f"{meta.config.data.name} {meta.split_hash[:12]}" for meta in metas],
    }
    problems = [f"{what}: {' and '.join(of)}" for what, of in facts.items() if of[0] != of[1]]
    if problems:
        raise InputError(
            f"{' and '.join(map(str, workdirs))} cannot be compared, study by study, for they "
            f"differ in {'; '.join(problems)}. Name two runs of one dataset, its split and its "
            "classes"
        )


def _page(runs: list[EvaluatedRun], comparison: Comparison) -> Page:
    part = runs[0].part
    words = [
        f"Both networks saw the same {comparison.n} studies. {comparison.only_first} of them only "
        f"the first calls rightly, {comparison.only_second} only the second; what both get right, "
        "or both get wrong, does not tell them apart.",
        "A p-value is the chance of a difference as large, or larger, between networks that are "
        "equally good. Were there no differences, about one test in twenty would be below 0.05: "
        "settle on the figure that matters before you look. An interval that holds 0 does not show "
        "that the two are equal.",
    ]
    if part == "validation":
        words.append(
            "These are validation studies, on which both chose their temperature and threshold "
            "and, unless they keep the last one, their epoch: the figures of both are a little too "
            "good."
        )
    audits = list(dict.fromkeys(audit for run in runs for audit in run.leakage))
    blocks = (*comparison_tables(comparison), text(*words), NOT_A_DEVICE)
    comparison_section = Section("comparison", "Paired comparison", blocks)
    settings = zip(("First", "Second"), map(_settings, runs), strict=True)
    return Page(
        f"Comparison on {runs[0].title}",
        (*settings, ("Split", runs[0].bundle.meta.split_hash[:12])),
        (comparison_section, data_section(data_facts(runs[0].dataset, audits))),
    )


def _settings(run: EvaluatedRun) -> str:
    calibration, point = run.calibration, run.calibration.point
    at = "" if point is None else f", threshold {threshold_text(point.threshold)} ({point.rule})"
    return (
        f"{run_text(run.bundle)}{at}, temperature {calibration.temperature.value:.3g}, "
        f"views {calibration.test_views}"
    )
