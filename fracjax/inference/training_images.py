"""What the images that a detector was trained on look like, and which images do not.

A network answers whatever it is shown, also a photograph of a hand, or a radiograph that another
pipeline has turned dark. Few plain figures of an image say so in words; they see no more than that.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset
from fracjax.runtime.atomic_files import read_json, to_json, write_json
from fracjax.training.checkpoint import CheckpointMetadata

FIGURES = {
    "mean grey": ("darker", "brighter"),
    "contrast": ("flatter", "of more contrast"),
    "black": ("less black", "more black"),
    "white": ("less white", "more white"),
    "detail": ("smoother", "noisier"),
}
"""Each figure, and what an image is whose figure is lower, or higher, than those of training."""
UNLIKE = "unlike the training images"
OUTSIDE = 0.001  # fraction of the training images beyond either end of the range
_CHUNK = 256


@dataclass(frozen=True)
class TrainingImages:
    """The range of each of `FIGURES` over the training images, but for `OUTSIDE` at either end."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int  # training images
    split_hash: str

    def outside(self, figures: Float[np.ndarray, "n 5"]) -> Bool[np.ndarray, " n"]:
        """Which measured images lie outside of a range, and so have words from `unlike`."""
        return np.any((figures < np.array(self.low)) | (figures > np.array(self.high)), axis=1)

    def unlike(self, image: UInt8[np.ndarray, "side side c"]) -> str:
        """In what an image lies outside of the ranges, in words; empty where it does not.

        Of images like those of training about 2 (1 + n `OUTSIDE`) in n + 1 lie outside by a figure.
        """
        words = []
        ranges = zip(FIGURES.items(), measure(image[None])[0], self.low, self.high, strict=True)
        for (name, (below, above)), value, low, high in ranges:
            if not low <= value <= high:
                word = below if value < low else above
                words.append(f"{word} ({name} {value:.3g}, there {low:.3g} to {high:.3g})")
        return f"{UNLIKE}: {', '.join(words)}" if words else ""


def measure(images: UInt8[np.ndarray, "n side side c"]) -> Float[np.ndarray, "n 5"]:
    """`FIGURES` of images.

    Mean and standard deviation of the greys, 0 to 255; the fractions of pixels below 8 and above
    247; the mean difference of neighbours over that deviation.
    """
    grey = images.astype(np.float32).mean(axis=-1)
    steps = [np.abs(np.diff(grey, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    spread = grey.std(axis=(1, 2))
    figures = [
        grey.mean(axis=(1, 2)),
        spread,
        (grey < 8).mean(axis=(1, 2)),
        (grey > 247).mean(axis=(1, 2)),
        np.mean(steps, axis=0) / np.maximum(spread, 1e-3),
    ]
    return np.stack(figures, axis=1).astype(np.float64)


def measure_all(examples: Examples) -> Float[np.ndarray, "n 5"]:
    """`measure` of the images of examples, few of them in memory at a time."""
    rows = np.array_split(np.arange(len(examples)), -(-len(examples) // _CHUNK))
    return np.concatenate([measure(examples.images(part)) for part in rows])


def ranges_of(figures: Float[np.ndarray, "n 5"], split_hash: str) -> TrainingImages:
    """The ranges of measured training images."""
    low = np.quantile(figures, OUTSIDE, axis=0, method="lower")
    high = np.quantile(figures, 1 - OUTSIDE, axis=0, method="higher")
    return TrainingImages(tuple(low.tolist()), tuple(high.tolist()), len(figures), split_hash)


def path(folder: Path) -> Path:
    """Where they lie, beside the threshold."""
    return folder / "training_images.json"


def store(folder: Path, dataset: Dataset, meta: CheckpointMetadata) -> None:
    """Measure the training images of a run, as its network sees them, and keep their ranges."""
    found = ranges_of(measure_all(dataset.part("train", meta.form)), dataset.split_hash)
    write_json(path(folder), to_json(found))


def read(workdir: Path, split_hash: str) -> TrainingImages | None:
    """What was kept for a run; None where it is not there, or of another split."""
    if not path(workdir).is_file():
        return None
    hint = f"run `fracjax evaluate --checkpoint {workdir} --split validation` again"
    record = read_json(path(workdir), hint)
    try:
        low, high = (tuple(map(float, record[end])) for end in ("low", "high"))
        if len(low) != len(FIGURES) or len(high) != len(FIGURES):
            raise ValueError(f"it holds {len(low)} figures")
        found = TrainingImages(low, high, int(record["n"]), str(record["split_hash"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path(workdir)} is damaged ({error!r}); {hint}") from error
    return found if found.split_hash == split_hash else None
