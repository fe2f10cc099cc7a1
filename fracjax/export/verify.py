"""An exported cascade against the checkpoints it was made of, on pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from fracjax.config import Precision
from fracjax.errors import InputError
from fracjax.evaluation import Predictions, calls
from fracjax.export.program import inputs_of
from fracjax.imaging.resize import decode_each
from fracjax.inference.input_files import find_files
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.prefetch import read_ahead
from fracjax.inference.stages import Stages
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import open_dataset
from fracjax.models.precision import effective_precision
from fracjax.ops.backend import platform

PICTURES = 12  # at most
SIZES = (1, 3)  # of batches
# Of a probability. What is rounded to few bits shows in which order products are added: with 8 bits
# in the third decimal.
TOLERANCE: dict[Precision, float] = {"float32": 1e-5, "tensorfloat32": 1e-3, "bfloat16": 0.01}

Program = Callable[..., Mapping[str, Any]]
"""Arrays of pictures to arrays of what is said of them, by the names in the card."""


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, and where they come from.

    Attributes:
      source: in words.
      arrays: uint8[n, side, side, channels] for each argument of the program.
    """

    source: str
    arrays: tuple[UInt8[np.ndarray, "n _ _ _"], ...]

    def __len__(self) -> int:
        return len(self.arrays[0])


@dataclass(frozen=True)
class Checked:
    """How near an artefact comes to its checkpoints.

    Attributes:
      pictures: number of them.
      source: where they come from.
      batch_sizes: in which they were given to the artefact.
      differences: largest difference of each kind of probability, by its name.
      tolerances: what they had to stay within.
      called: of the pictures.
      undecided: pictures whose probability is within the tolerance of the threshold: rounding,
        which hangs on the size of a batch and on the device, decides how they are called.
      device: on which the artefact computed; the checkpoints did on JAX's.
    """

    pictures: int
    source: str
    batch_sizes: tuple[int, ...]
    differences: dict[str, float]
    tolerances: dict[str, float]
    called: int
    undecided: int
    device: str

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return asdict(self)


def pictures_of(stages: Stages, folder: Path | None, data_dir: Path | None) -> Pictures:
    """Up to `PICTURES` of a folder, or of the detector's own validation studies.

    Raises:
      UserError: the dataset is not there, or is split otherwise; no picture can be read.
    """
    forms = [one.form for one in inputs_of(stages)]
    if folder is not None:
        files = _spread(find_files([folder]).files)
        each = [read.pictures for read in read_ahead(files, forms, ahead=PICTURES) if read.pictures]
        if not each:
            raise InputError(f"none of the {len(files)} files tried in {folder} can be read")
        source = str(folder)
    else:
        meta = stages.front.detector.meta
        try:
            dataset = open_dataset(meta.config.data, data_dir)
        except InputError as error:
            raise InputError(
                f"nothing to check the export on: {error}; or name a folder of pictures with "
                "--check"
            ) from error
        meta.check_split(dataset.split_hash)
        studies = _spread(dataset.indices("validation"))
        each = [decode_each(dataset.prepared.image_bytes(int(i)), forms)[1] for i in studies]
        source = f"{meta.config.data.name}, validation"
    return Pictures(source, tuple(np.stack(column) for column in zip(*each, strict=True)))


def compare(
    stages: Stages, program: Program, pictures: Pictures, device: str | None = None
) -> Checked:
    """Run a program on pictures, in batches of `SIZES`, and set it beside `ModelBundle.predict`.

    Both are given the same batches: with their size the rounding of a checkpoint changes, too.

    Args:
      stages: what was exported.
      program: the export, read again.
      pictures: to run it on.
      device: on which it computes, in words; JAX's by default.

    Raises:
      UserError: a probability differs by more than the tolerance, or a call that rounding does not
        explain.
    """
    tolerances = {
        name: TOLERANCE[effective_precision(trained.precision, platform())]
        for name, trained in zip(("probability", "types"), stages.trained, strict=False)
    }
    threshold = stages.front.point.threshold
    differences, problems = dict.fromkeys(tolerances, 0.0), []
    called = undecided = np.zeros(len(pictures), bool)
    for size in SIZES:
        expected = _expected(stages, pictures, size)
        found = _in_batches(program, pictures, size)
        for name, tolerance in tolerances.items():
            difference = float(np.max(np.abs(found[name] - expected[name])))
            differences[name] = max(differences[name], difference)
            if not difference <= tolerance:  # nor is NaN
                problems.append(
                    f"{name} differs by {difference:.2g} in batches of {size} (allowed: "
                    f"{tolerance:g})"
                )
        called = calls(expected["probability"], threshold)
        undecided = np.abs(expected["probability"] - threshold) <= tolerances["probability"]
        wrong = (found["called"] != called) & ~undecided
        wrong |= found["called"] != calls(found["probability"], np.float32(threshold))
        if wrong.any():
            problems.append(f"{wrong.sum()} of {wrong.size} calls differ in batches of {size}")
    if problems:
        raise InputError(
            f"the export does not say what the checkpoints say of {len(pictures)} pictures of "
            f"{pictures.source}: {'; '.join(problems)}; nothing was kept"
        )
    jax_device = jax.devices()[0]
    return Checked(
        pictures=len(pictures),
        source=pictures.source,
        batch_sizes=SIZES,
        differences=differences,
        tolerances=tolerances,
        called=int(called.sum()),
        undecided=int(undecided.sum()),
        device=device or f"{jax_device.platform} {jax_device.device_kind}",
    )


def _expected(stages: Stages, pictures: Pictures, size: int) -> dict[str, np.ndarray]:
    """Probabilities of the checkpoints, in batches as near to `size` as their devices can share."""
    names = np.arange(len(pictures)).astype(str)
    none = np.zeros(len(pictures), np.int64)

    def predicted(trained: ModelBundle, image: np.ndarray) -> Predictions:
        devices = trained.mesh.size
        trained = replace(trained, batch_size=-(-size // devices) * devices)
        return trained.predict(Examples(study=names, image=image, label=none, group=names))

    expected = {"probability": predicted(stages.front.detector, pictures.arrays[0]).fracture_score}
    if stages.classifier is not None:
        expected["types"] = predicted(stages.classifier, pictures.arrays[-1]).probabilities
    return expected


def _in_batches(program: Program, pictures: Pictures, size: int) -> dict[str, np.ndarray]:
    """All of them; those that fill up the last batch are left out again."""
    n = len(pictures)
    rows = np.arange(-(-n // size) * size).reshape(-1, size) % n
    parts = [program(*(array[batch] for array in pictures.arrays)) for batch in rows]
    return {
        name: np.concatenate([np.asarray(part[name]) for part in parts])[:n] for name in parts[0]
    }


def _spread(all_of_them: Sequence[Any] | np.ndarray) -> list[Any]:
    """`PICTURES` of them, from the first to the last."""
    places = np.linspace(0, len(all_of_them) - 1, min(PICTURES, len(all_of_them))).round()
    return [all_of_them[int(place)] for place in places]
