"""One checkpoint explained on one part of its split: overlays, and the score of its maps."""

from functools import partial
from pathlib import Path

import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from fracjax.config.class_names import print_roles
from fracjax.errors import InputError
from fracjax.explain.cam import Method
from fracjax.explain.localisation import LocalisationReport, best_levels, localisation_report
from fracjax.explain.maps import Target, explain
from fracjax.inference.calibration import about
from fracjax.inference.ensemble_folder import folder_of
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
    it calls. Writes overlays and localisation.json; shows the table.

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
    maps_of = partial(explain, trained, target=target, method=method)
    examples, where = located(dataset, part, trained)
    maps = maps_of(examples)
    with report_files(folder) as files:
        shown = np.unique(np.linspace(0, len(examples) - 1, studies).round().astype(int))
        for number, (place, image) in enumerate(zip(shown, examples.images(shown), strict=True), 1):
            # As much of it as a disk takes, four bytes a letter; its end is the file.
            name = str(examples.study[place]).replace("/", "_")[-60:]
            png = overlay_png(image, maps[place], where.boxes[place])
            (files / f"{number:03d}_{name}.png").write_bytes(png)
        if not where.boxed.any():
            said = f"{dataset.prepared.name} has no boxes: there is nothing to score maps with"
            console.print(said)
            return
        best = None
        if part == "test":  # at levels at which validation has the best IoU
            others, findings = located(dataset, "validation", trained)
            best = best_levels(maps_of(others), findings)
        report = localisation_report(maps, where, examples.group, best=best)
        source = {"part": part, "method": method, "target": target, **about(trained)}
        write_json(files / "localisation.json", {"source": source, "figures": to_json(report)})
    console.print(localisation_table(report, method).rich())


def located(dataset: Dataset, part: str, trained: ModelBundle) -> tuple[Examples, Regions]:
    """The studies of a part that have a box, or all of them if none has, and their regions."""
    examples = dataset.part(part, trained.meta.form, every_class=False)
    where = regions(dataset.prepared, examples.rows, trained.meta.form)
    if not where.boxed.any():
        return examples, where
    return examples.take(where.boxed), where.take(where.boxed)


def localisation_table(report: LocalisationReport, method: Method) -> Table:
    """Scores of maps beside those of the image's middle and of chance."""
    of = [f"{report.n} studies with a box", f"{report.n_groups} groups"]
    if report.undefined:
        of.append(f"{report.undefined} more whose map is zero everywhere")
    if report.best:
        of.append(f"best levels {report.best.maps:g} and, of the middle, {report.best.centre:g}")
    return Table(
        f"{NAMES[method]} against the findings: {', '.join(of)}",
        ("score", NAMES[method], "the middle", "chance (area)"),
        tuple((score.name, score.maps, score.centre, score.chance) for score in report.scores),
    )
