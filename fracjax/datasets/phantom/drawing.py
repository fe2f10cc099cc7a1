"""Phantoms: radiographs drawn from a seed, healthy or broken, with the box of the break.

The bytes of a picture are the same on every machine: draws come from `phantom_random`, all
arithmetic is float64, and only the last step rounds, to 8 bits. The libraries' sin, exp and log may
differ in the last bit between processors; that flips a pixel only where its grey value lies within
about 1e-12 of a rounding boundary, which no one should meet (some 1e-8 pixels per picture).

Anatomy, exposure, noise and break have streams of their own. So one seed shows one limb under one
exposure with one noise, and a broken phantom differs from its healthy twin at the break alone.
"""

import difflib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from fracjax.datasets.phantom.exposure import develop, draw_exposure, pixel_centres
from fracjax.datasets.phantom.fractures import FRACTURE_TYPES, break_bone
from fracjax.datasets.phantom.fragments import Scene
from fracjax.datasets.phantom.limbs import draw_limb
from fracjax.datasets.phantom.random_stream import Stream
from fracjax.errors import InputError

__all__ = ["FRACTURE_TYPES", "Phantom", "draw"]

_ANATOMY, _TEXTURE, _POSE, _EXPOSURE, _NOISE, _FRACTURE = range(6)
SMALLEST_SIDE = 32


@dataclass(frozen=True)
class Phantom:
    """One drawn radiograph.

    Attributes:
      image: grey values, bone bright.
      box: (y0, x0, y1, x1) of the break in pixels, from the top left corner of the picture to
        outer pixel edges; None when the limb is healthy.
      bones: how many long bones the limb has, 1 or 2.
    """

    image: UInt8[np.ndarray, "side side"]
    box: tuple[float, float, float, float] | None
    bones: int


def draw(seed: int, fracture: str | None, side: int = 256) -> Phantom:
    """Draw the radiograph of one limb.

    Args:
      seed: which limb, pose, exposure and noise; not negative.
      fracture: one of `FRACTURE_TYPES`, or None for a healthy limb.
      side: height and width in pixels.

    Raises:
      UserError: the seed is negative, the type is unknown or the side is below 32 pixels.
    """
    _check(seed, fracture, side)
    limb = draw_limb(Stream(seed, _ANATOMY))
    u, v = _limb_frame(Stream(seed, _POSE), side)
    scene = Scene(limb, u, v, _trabeculae(Stream(seed, _TEXTURE), side), pixel=1.0 / side)
    bone = np.zeros_like(u)
    for part in (*limb.bones, *limb.beyond):
        bone += scene.intact(part)
    box = None
    if fracture is not None:
        number = FRACTURE_TYPES.index(fracture)
        change = break_bone(scene, fracture, Stream(seed, _FRACTURE, number))
        bone += change
        box = _box(change)
    cortex = limb.bones[0]
    exposure = draw_exposure(
        Stream(seed, _EXPOSURE), limb.soft.depth, 1.4 * cortex.density * cortex.shaft_radius
    )
    noise = Stream(seed, _NOISE).white_noise(side, side)
    image = develop(bone, limb.soft.attenuation(u, v), exposure, noise)
    return Phantom(image, box, len(limb.bones))


def _check(seed: int, fracture: str | None, side: int) -> None:
    problems = []
    if seed < 0:
        problems.append(f"seed is {seed}; it must be 0 or more")
    if fracture is not None and fracture not in FRACTURE_TYPES:
        near = difflib.get_close_matches(fracture, FRACTURE_TYPES, n=1, cutoff=0.3)
        hint = f" Perhaps you meant {near[0]!r}." if near else ""
        problems.append(
            f"unknown fracture type {fracture!r}; it must be None or one of "
            f"{', '.join(map(repr, FRACTURE_TYPES))}.{hint}"
        )
    if side < SMALLEST_SIDE:
        problems.append(f"side is {side} pixels; it must be {SMALLEST_SIDE} or more")
    if problems:
        raise InputError("cannot draw the phantom: " + "; ".join(problems))


def _limb_frame(stream: Stream, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel centres in the limb's frame: joint below, as films are hung, but tilted."""
    angle = np.pi / 2.0 + stream.uniform(-0.25, 0.25)
    across, along = stream.uniform(-0.04, 0.04), stream.uniform(-0.02, 0.02)
    y, x = pixel_centres(side)
    cosine, sine = np.cos(angle), np.sin(angle)
    return x * cosine + y * sine - along, y * cosine - x * sine - across


def _trabeculae(stream: Stream, side: int) -> Float[np.ndarray, "side side"]:
    """Fine mottle of mean 0 and standard deviation about 1."""
    grain = 0.0045 * side
    mottle = gaussian_filter(stream.white_noise(side, side), grain, truncate=3.0)
    return mottle * (2.0 * np.pi**0.5 * grain)


def _box(change: Float[np.ndarray, "side side"]) -> tuple[float, float, float, float]:
    """Bounds of the change: at each edge of the box, 2 % of its energy lies beyond."""
    edges = []
    for axis in (1, 0):
        energy = np.cumsum((change * change).sum(axis=axis))
        first, last = np.searchsorted(energy, (0.02 * energy[-1], 0.98 * energy[-1]))
        edges.append((max(float(first) - 1.0, 0.0), min(float(last) + 2.0, float(len(energy)))))
    (y0, y1), (x0, x1) = edges
    return y0, x0, y1, x1
