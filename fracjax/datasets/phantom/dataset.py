"""Phantoms as datasets: drawn from seeds, with the box of the break. The embedded default.

`phantom` asks whether there is a fracture, `phantom_types` which of the ten. They share no limb.
"""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from fracjax.datasets.phantom.drawing import FRACTURE_TYPES, Phantom, draw
from fracjax.datasets.records import RecordBuilder
from fracjax.datasets.sources.archive import NO_BOXES, Study
from fracjax.errors import InputError

CLASSES = ("healthy", "fracture")
DRAWN = ("phantom", "phantom_types")  # the datasets of which no picture is a patient's
_PER_CLASS = 4  # enough for every class in every part


class PhantomBuilder(RecordBuilder, skip_registration=True):
    """What both builders share.

    Args:
      count: number of studies.
      side: height and width in pixels.
      seed: of the whole set; another seed gives other limbs.
      data_dir: tfds writes below `data_dir/<name>/<version>`.
    """

    stream = 0  # keeps the limbs of the two sets apart

    def __init__(self, *, count: int, side: int, seed: int, data_dir: Path):
        problems = []
        if count < (smallest := _PER_CLASS * len(self.class_names)):
            problems.append(f"--count {count}: expected at least {smallest}")
        if side < 32:
            problems.append(f"--side {side}: expected at least 32 pixels")
        if seed < 0:
            problems.append(f"--seed {seed}: expected 0 or more")
        if problems:
            raise InputError("; ".join(problems))
        self.count, self.side, self.seed = count, side, seed
        super().__init__(
            classes=self.class_names,
            attributes={"fracture_type": str, "bones": int, "seed": int},
            # Every limb is drawn anew: two that look alike are still two.
            similarity=None,
            data_dir=data_dir,
        )

    class_names: tuple[str, ...] = ()

    def fracture_of(self, index: int) -> str | None:
        """The break of study number `index`, or None for a healthy limb."""
        raise NotImplementedError

    def studies(self) -> list[Study]:  # noqa: D102 (see RecordBuilder)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._study, range(self.count)))

    def _study(self, index: int) -> Study:
        fracture = self.fracture_of(index)
        seed = limb_seed(self.seed, self.stream, index)
        phantom = draw(seed, fracture, self.side)
        png = _png(phantom)
        name = f"{self.name}-{self.seed}-{index:06d}"
        return Study(
            study=name,
            path=f"{name}.png",
            label=self.label_of(fracture),
            read=lambda: png,
            attributes={"fracture_type": fracture or "none", "bones": phantom.bones, "seed": seed},
            boxes=NO_BOXES
            if phantom.box is None
            else (np.array([phantom.box], np.float32) / self.side).clip(0, 1),
        )

    def label_of(self, fracture: str | None) -> str:
        """The class of a study with that break."""
        raise NotImplementedError


class PhantomDetection(PhantomBuilder):
    """Healthy or fracture, half and half; the ten types in turn."""

    name = "phantom"
    description = "Synthetic radiographs, healthy or broken, with the box of the break."
    class_names = CLASSES
    stream = 1

    def fracture_of(self, index: int) -> str | None:  # noqa: D102
        half, broken = divmod(index, 2)
        return FRACTURE_TYPES[half % len(FRACTURE_TYPES)] if broken else None

    def label_of(self, fracture: str | None) -> str:  # noqa: D102
        return CLASSES[fracture is not None]


class PhantomTypes(PhantomBuilder):
    """The ten fracture types in turn; every limb is broken."""

    name = "phantom_types"
    description = "Synthetic radiographs of the ten fracture types, with the box of the break."
    class_names = tuple(FRACTURE_TYPES)
    stream = 2

    def fracture_of(self, index: int) -> str | None:  # noqa: D102
        return FRACTURE_TYPES[index % len(FRACTURE_TYPES)]

    def label_of(self, fracture: str | None) -> str:  # noqa: D102
        assert fracture is not None
        return fracture


def limb_seed(seed: int, stream: int, index: int) -> int:
    """The drawing seed of one study: below 2**31, different for practically all arguments."""
    return int(np.random.SeedSequence([seed, stream, index]).generate_state(1)[0] >> 1)


def _png(phantom: Phantom) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom.image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
