"""An exported cascade against the checkpoints it was made of, on images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from fracjax.config import Precision
from fracjax.errors import InputError
from fracjax.evaluation import calls
from fracjax.export.program import Program, by_stage, inputs_of
from fracjax.imaging.resize import decode_each
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.finding_maps import finding_maps, map_grid
from fracjax.inference.input_files import find_files, read_ahead
from fracjax.inference.stages import Stages
from fracjax.loading.dataset_view import open_dataset
from fracjax.models.precision import effective_precision
from fracjax.ops.backend import platform

IMAGES = 12  # at most
SIZES = (1, 3)  # of batches
# Of a probability. What is rounded to few bits shows in which order products are added: with 8 bits
# in the third decimal.
TOLERANCE: dict[Precision, float] = {"float32": 1e-5, "tensorfloat32": 1e-3, "bfloat16": 0.01}


@dataclass(frozen=True)
class CheckImages:
    """Decoded images for each argument of the program, and where they come from, in words."""

    source: str
    arrays: tuple[UInt8[np.ndarray, "n _ _ _"], ...]

    def __len__(self) -> int:
        return len(self.arrays[0])


@dataclass(frozen=True)
class Checked:
    """How near an artefact comes to its checkpoints."""

    pictures: int  # number of images, from `source`, given to it in batches of `batch_sizes`
    source: str
    batch_sizes: tuple[int, ...]
    differences: dict[str, float]  # largest difference of each kind of probability, by its name
    tolerances: dict[str, float]  # what they had to stay within
    called: int  # number of images
    undecided: int  # images within the tolerance of the threshold: rounding decides their call
    device: str  # on which the artefact computed; the checkpoints did on JAX's


def images_of(stages: Stages, folder: Path | None, data_dir: Path | None) -> CheckImages:
    """Up to `IMAGES` of a folder, or of the detector's own validation studies.

    Raises:
      InputError: the dataset is not there, or is split otherwise; no image can be read.
    """
    forms = list(inputs_of(stages).values())
    if folder is not None:
        files = _spread(find_files([folder]).files)
        each = [read.images for read in read_ahead(files, forms, ahead=IMAGES) if read.images]
        if not each:
            raise InputError(f"none of the {len(files)} files tried in {folder} can be read")
        source = str(folder)
    else:
        meta = stages.detector.bundle.meta
        try:
            dataset = open_dataset(meta.config.data, data_dir)
        except InputError as error:
            raise InputError(
                f"nothing to check the export on: {error}; or name a folder of images with --check"
            ) from error
        meta.check_split(dataset.split_hash)
        studies = _spread(dataset.indices("validation"))
        each = [decode_each(dataset.prepared.image_bytes(int(i)), forms)[1] for i in studies]
        source = f"{meta.config.data.name}, validation"
    return CheckImages(source, tuple(np.stack(column) for column in zip(*each, strict=True)))


def compare(
    stages: Stages, program: Program, images: CheckImages, device: str | None = None
) -> Checked:
    """Run an export, read again, on images, and set it beside `ModelBundle.predict`.

    Both are given the same batches, of `SIZES`: with their size the rounding of a checkpoint
    changes, too. `device` is what the program computes on, in words; JAX's by default.

    Raises:
      InputError: a probability differs by more than the tolerance, or a call beyond rounding.
    """
    tolerances = {
        name: max(TOLERANCE[effective_precision(run.precision, platform())] for run in bundle.runs)
        for name, bundle in zip(("probability", "types"), stages.bundles, strict=False)
    }
    if map_grid(stages.detector.bundle):
        tolerances["map"] = tolerances["probability"]
    threshold = stages.detector.point.threshold
    differences, problems = dict.fromkeys(tolerances, 0.0), []
    called = undecided = np.zeros(len(images), bool)
    for size in SIZES:
        expected = _expected(stages, images, size)
        found = _in_batches(program, images, size)
        for name, tolerance in tolerances.items():
            difference = float(np.max(np.abs(found[name] - expected[name])))
            differences[name] = max(differences[name], difference)
            if not difference <= tolerance:  # nor is NaN
                by = f"{difference:.2g} in batches of {size} (allowed: {tolerance:g})"
                problems.append(f"{name} differs by {by}")
        called = calls(expected["probability"], threshold)
        undecided = np.abs(expected["probability"] - threshold) <= tolerances["probability"]
        wrong = (found["called"] != called) & ~undecided
        wrong |= found["called"] != calls(found["probability"], np.float32(threshold))
        if wrong.any():
            problems.append(f"{wrong.sum()} of {wrong.size} calls differ in batches of {size}")
    if problems:
        raise InputError(
            f"the export does not say what the checkpoints say of {len(images)} images of "
            f"{images.source}: {'; '.join(problems)}; nothing was kept"
        )
    jax_device = jax.devices()[0]
    return Checked(
        pictures=len(images),
        source=images.source,
        batch_sizes=SIZES,
        differences=differences,
        tolerances=tolerances,
        called=int(called.sum()),
        undecided=int(undecided.sum()),
        device=device or f"{jax_device.platform} {jax_device.device_kind}",
    )


def _expected(stages: Stages, images: CheckImages, size: int) -> dict[str, np.ndarray]:
    """Probabilities of the checkpoints, in batches as near to `size` as their devices can share."""

    def predicted(bundle: Bundle, images: Sequence[np.ndarray]) -> np.ndarray:
        devices = bundle.mesh.size
        return bundle.in_batches_of(-(-size // devices) * devices).probabilities(*images)

    of_each = by_stage(stages, images.arrays)
    detector, *classifier = map(predicted, stages.bundles, of_each)
    expected = {"probability": detector[:, 1], **dict(zip(("types",), classifier, strict=False))}
    if map_grid(stages.detector.bundle):
        expected["map"] = finding_maps(stages.detector.bundle, *of_each[0])
    return expected


def _in_batches(program: Program, images: CheckImages, size: int) -> dict[str, np.ndarray]:
    """All of them; those that fill up the last batch are left out again."""
    n = len(images)
    rows = np.arange(-(-n // size) * size).reshape(-1, size) % n
    parts = [program(*(array[batch] for array in images.arrays)) for batch in rows]
    return {
        name: np.concatenate([np.asarray(part[name]) for part in parts])[:n] for name in parts[0]
    }


def _spread(items: Sequence[Any] | np.ndarray) -> list[Any]:
    """`IMAGES` of them, from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(IMAGES, len(items))).round()
    return [items[int(place)] for place in places]
