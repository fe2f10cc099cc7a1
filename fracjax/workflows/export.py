"""Trained runs to a folder with the export, its card, and nothing that was not checked."""

from pathlib import Path

from jax.sharding import Mesh
from rich.console import Console

from fracjax.config.class_names import print_roles
from fracjax.export.card import card, file_entry
from fracjax.export.onnx import ONNX
from fracjax.export.program import STABLEHLO, refuse_impossible
from fracjax.export.verify import Checked, compare, images_of
from fracjax.inference.ensemble_folder import Runs, folder_of
from fracjax.inference.stages import open_stages
from fracjax.runtime.atomic_files import refuse_existing, write_json
from fracjax.runtime.unfinished_folder import replacing_files

CARD = "card.json"


def export_into(
    folder: Path,
    stage1: Runs,
    stage2: Runs | None,
    mesh: Mesh,
    console: Console,
    *,
    onnx: bool = False,
    check_on: Path | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Checked]:
    """Export the cascade, run what was written on images, and keep it if it says the same.

    `stage1` is the workdir of a detector with a threshold, `stage2` of a classifier; each may be
    several that were evaluated together. The export is checked on the images in the folder
    `check_on`, by default on the detector's validation studies, whose dataset is in `data_dir`, by
    default where the config says. What cannot be exported, checked or overwritten, or does not say
    what the checkpoints say, is refused.
    """
    names = (STABLEHLO.file, ONNX.file, CARD)
    refuse_existing(folder, names, overwrite)
    stages = open_stages(folder_of(stage1), None if stage2 is None else folder_of(stage2), mesh)
    formats = (STABLEHLO, ONNX) if onnx else (STABLEHLO,)
    for check in (refuse_impossible, *(each.refuse_impossible for each in formats)):
        check(stages)
    stages.warn_if_mismatched(console)
    print_roles(console, stages.detector.bundle.meta.classes)
    images = images_of(stages, check_on, data_dir)
    checked, entries = {}, {}
    with replacing_files(folder) as place:
        for each in formats:
            path = place / each.file
            each.write(stages, path)
            checked[each.name] = compare(stages, each.load(path), images, each.device)
            entries[each.name] = file_entry(path, each, checked[each.name])
        write_json(place / CARD, card(stages, entries))
    if not onnx:  # the card is of these files alone
        (folder / ONNX.file).unlink(missing_ok=True)
    for kind, found in checked.items():
        differences = ", ".join(f"{name} {most:.1e}" for name, most in found.differences.items())
        console.print(
            f"{kind}: checked on {found.pictures} images of {found.source}, {found.called} of "
            f"them called; largest difference from the checkpoints: {differences}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return checked
