"""One checkpoint explained on one part of its split: overlays, and the score of its maps."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float
from rich.console import Console

from fracjax.config.class_names import print_roles
from fracjax.errors import InputError
from fracjax.explain.cam import Method
from fracjax.explain.localisation import (
    Levels,
    LocalisationReport,
    best_levels,
    localisation_report,
)
from fracjax.explain.maps import Target, explain
from fracjax.inference.calibration import about
from fracjax.inference.ensemble_folder import folder_of
from fracjax.inference.finding_maps import MapGrid, map_grid
from fracjax.inference.marks import square_map
from fracjax.inference.model_bundle import ModelBundle, is_cross_validation, open_run
from fracjax.inference.trained_dataset import open_as_trained
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset
from fracjax.loading.regions import Regions, regions
from fracjax.report.overlay import overlay_png
from fracjax.report.table import Table
from fracjax.runtime.atomic_files import to_json, write_json
from fracjax.workflows.pages import report_files

NAMES: dict[Method, str] = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "hirescam": "HiResCAM",
}
LEARNED = "the learned map"


def explain_run(
    workdir: Path,
    part: str,
    mesh: Mesh,
    console: Console,
    folder: Path,
    *,
    method: Method = "gradcam",
    studies: int = 12,
    data_dir: Path | None = None,
) -> None:
    """Explain the studies of a part that have a box, or all of them if none has.

    A detector is asked what speaks for its positive class, a classifier what speaks for the class
    it calls. The map of a run that has learnt where findings are is scored beside. Writes overlays
    and localisation.json; shows the tables.

    `studies` overlays are written, of studies spread evenly over those that are explained. The
    prepared datasets are in `data_dir`, by default where the config says. A cross-validation is
    refused.
    """
    if studies < 1:
        raise InputError(f"studies is {studies}; write 1 or more")
    trained = open_run(folder_of(workdir), mesh)
    if is_cross_validation(trained.metas):
        raise InputError(
            f"{workdir} is a cross-validation, whose networks have each trained on what the others "
            "validate on; name one of its folders, or another run"
        )
    print_roles(console, trained.meta.classes)
    dataset = open_as_trained(trained.meta, data_dir)
    target: Target = "positive" if len(trained.meta.classes) == 2 else "called"
    gradients = partial(explain, trained, target=target, method=method)
    maps_of: dict[str, Callable[[Examples], np.ndarray]] = {NAMES[method]: gradients}
    if (grid := map_grid(trained)) is not None:  # what it was taught to say, beside what it shows
        maps_of[LEARNED] = partial(_learned, trained, grid)
    examples, where = located(dataset, part, trained)
    maps = {name: of(examples) for name, of in maps_of.items()}
    with report_files(folder) as files:
        shown = np.unique(np.linspace(0, len(examples) - 1, studies).round().astype(int))
        for number, (place, image) in enumerate(zip(shown, examples.images(shown), strict=True), 1):
            # As much of it as a disk takes, four bytes a letter; its end is the file.
            study = str(examples.study[place]).replace("/", "_")[-60:]
            for name, each in maps.items():
                png = overlay_png(image, each[place], where.boxes[place])
                end = "_learned" if name == LEARNED else ""
                (files / f"{number:03d}_{study}{end}.png").write_bytes(png)
        if not where.boxed.any():
            said = f"{dataset.prepared.name} has no boxes: there is nothing to score maps with"
            console.print(said, markup=False)
            return
        best: dict[str, Levels | None] = dict.fromkeys(maps)
        if part == "test":  # at levels at which validation has the best IoU
            others, findings = located(dataset, "validation", trained)
            best = {name: best_levels(of(others), findings) for name, of in maps_of.items()}
        reports = {
            name: localisation_report(each, where, examples.group, best=best[name])
            for name, each in maps.items()
        }
        source = {"part": part, "method": method, "target": target, **about(trained)}
        keys = {NAMES[method]: "figures", LEARNED: "learned_map"}
        figures = {keys[name]: to_json(report) for name, report in reports.items()}
        write_json(files / "localisation.json", {"source": source, **figures})
    for name, report in reports.items():
        console.print(localisation_table(report, name).rich())
    if grid is not None:
        hits = ", ".join(f"{name} {report.scores[0].maps}" for name, report in reports.items())
        said = f"The highest point lies in a box: {hits}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)


def _learned(
    trained: ModelBundle, grid: MapGrid, examples: Examples
) -> Float[np.ndarray, "n side side"]:
    maps = trained.read(examples).maps
    assert maps is not None, "it has a grid"
    return square_map(maps, *grid)


def located(dataset: Dataset, part: str, trained: ModelBundle) -> tuple[Examples, Regions]:
    """The studies of a part that have a box, or all of them if none has, and their regions."""
    examples = dataset.part(part, trained.meta.form, every_class=False)
    where = regions(dataset.prepared, examples.rows, trained.meta.form)
    if not where.boxed.any():
        return examples, where
    return examples.take(where.boxed), where.take(where.boxed)


def localisation_table(report: LocalisationReport, name: str) -> Table:
    """Scores of maps beside those of the image's middle and of chance."""
    of = [f"{report.n} studies with a box", f"{report.n_groups} groups"]
    if report.undefined:
        of.append(f"{report.undefined} more whose map is zero everywhere")
    if report.best:
        of.append(f"best levels {report.best.maps:g} and, of the middle, {report.best.centre:g}")
    return Table(
        f"{name} against the findings: {', '.join(of)}",
        ("score", name, "the middle", "chance (area)"),
        tuple((score.name, score.maps, score.centre, score.chance) for score in report.scores),
    )
