"""Phantoms as datasets: drawn from seeds, with the box of the break. The embedded default.

`phantom` asks whether there is a fracture, `phantom_types` which of the ten. They share no limb.
"""

import io

import numpy as np
from PIL import Image

from fracjax.datasets.phantom.drawing import FRACTURE_TYPES, SMALLEST_SIDE, draw
from fracjax.datasets.sources.archive import Contents, Study
from fracjax.datasets.sources.findings import NO_BOXES
from fracjax.errors import InputError
from fracjax.imaging.read import in_threads

CLASSES = ("healthy", "fracture")
_PER_CLASS = 4  # enough for every class in every part


def phantoms(name: str, *, count: int | None, side: int | None, seed: int) -> Contents:
    """Draw a whole set: healthy and broken limbs in turn, or the ten types in turn."""
    types = name == "phantom_types"
    classes = FRACTURE_TYPES if types else CLASSES
    count = count if count is not None else (1200 if types else 2400)
    side = 96 if side is None else side
    fewest = _PER_CLASS * len(classes)
    checks = {
        f"--count {count}: expected at least {fewest}": count < fewest,
        f"--side {side}: expected at least {SMALLEST_SIDE} pixels": side < SMALLEST_SIDE,
        f"--seed {seed}: expected 0 or more": seed < 0,
    }
    if problems := [problem for problem, wrong in checks.items() if wrong]:
        raise InputError("; ".join(problems))

    def study(index: int) -> Study:
        turn, broken = (index, True) if types else divmod(index, 2)
        fracture = FRACTURE_TYPES[turn % len(FRACTURE_TYPES)] if broken else None
        # Below 2**31, and different for practically all indices; the two sets share none.
        words = np.random.SeedSequence([seed, 2 if types else 1, index]).generate_state(1)
        drawn_by = int(words[0] >> 1)
        phantom = draw(drawn_by, fracture, side)
        png = io.BytesIO()
        Image.fromarray(phantom.image).save(png, "PNG", compress_level=1)
        study = f"{name}-{seed}-{index:06d}"
        boxes = NO_BOXES if phantom.box is None else np.array([phantom.box], np.float32) / side
        return Study(
            study=study,
            path=f"{study}.png",
            label=classes[turn % len(classes) if types else broken],
            read=png.getvalue,
            attributes=dict(fracture_type=fracture or "none", bones=phantom.bones, seed=drawn_by),
            boxes=boxes.clip(0, 1),
        )

    shown = " of the ten fracture types" if types else ", healthy or broken"
    return Contents(
        name=name,
        description=f"Synthetic radiographs{shown}, with the box of the break.",
        classes=classes,
        studies=in_threads(study, range(count), "Drawing every limb"),
    )
