"""Trained runs to a folder with the export, its card, and nothing that was not checked."""

import tempfile
from pathlib import Path

from jax.sharding import Mesh
from rich.console import Console

from fracjax.errors import InputError
from fracjax.export import onnx as onnx_export
from fracjax.export import stablehlo
from fracjax.export.card import card
from fracjax.export.program import refuse_impossible
from fracjax.export.verify import Checked, compare, pictures_of
from fracjax.inference.stages import open_stages
from fracjax.runtime.atomic_files import write_json

EXPORT, ONNX, CARD = "cascade.jax", "cascade.onnx", "card.json"


def export_into(
    folder: Path,
    stage1: Path,
    stage2: Path | None,
    mesh: Mesh,
    console: Console,
    *,
    onnx: bool = False,
    check_on: Path | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Checked]:
    """Export the cascade, run what was written on pictures, and keep it if it says the same.

    Args:
      folder: where to write `cascade.jax`, `card.json` and, if asked for, `cascade.onnx`.
      stage1: workdir of the detector, its threshold chosen.
      stage2: workdir of the classifier, or None.
      mesh: devices to check on.
      console: where it is said what was found.
      onnx: whether to write ONNX, too.
      check_on: a folder of pictures to check on; by default the detector's validation studies.
      data_dir: where the prepared datasets are now; the config's `data.dir` by default.
      overwrite: whether an export that lies there may be replaced.

    Raises:
      UserError: no trained stage, one that cannot be exported, an export that would be overwritten,
        nothing to check it on, or an artefact that does not say what the checkpoints say.
    """
    _check_free(folder, overwrite)
    stages = open_stages(stage1, stage2, mesh)
    refuse_impossible(stages)
    if onnx:
        onnx_export.refuse_impossible(stages)
    if stages.classifier is not None and not stages.same_filter:
        console.print("The classifier was not trained on what this detector lets through.")
    pictures = pictures_of(stages, check_on, data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as place:
        path = Path(place, EXPORT)
        exported = stablehlo.lower(stages)
        path.write_bytes(exported.serialize())
        files = {"jax_export": path}
        checked = {"jax_export": compare(stages, stablehlo.load(path), pictures)}
        if onnx:
            files["onnx"] = Path(place, ONNX)
            onnx_export.write(stages, files["onnx"])
            onnx_program = onnx_export.load(files["onnx"])
            checked["onnx"] = compare(stages, onnx_program, pictures, onnx_export.DEVICE)
        write_json(Path(place, CARD), card(stages, exported, files, checked))
        for name in (EXPORT, ONNX, CARD):
            (folder / name).unlink(missing_ok=True)
        for made in sorted(Path(place).iterdir()):
            made.replace(folder / made.name)
    for kind, found in checked.items():
        differences = ", ".join(f"{name} {most:.1e}" for name, most in found.differences.items())
        console.print(
            f"{kind}: checked on {found.pictures} pictures of {found.source}, {found.called} of "
            f"them called; largest difference from the checkpoints: {differences}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return checked


def _check_free(folder: Path, overwrite: bool) -> None:
    there = [name for name in (EXPORT, ONNX, CARD) if (folder / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{folder} already holds {', '.join(there)}; write --out another folder, or "
            "--overwrite to replace them"
        )
