"""Phantoms: radiographs drawn from a seed, healthy or broken, with the box of the break.

The bytes of an image are the same on every machine: draws come from `random_stream`, all
arithmetic is float64, and only the last step rounds, to 8 bits. The libraries' sin, exp and log may
differ in the last bit between processors; that flips a pixel only where its grey value lies within
about 1e-12 of a rounding boundary, which no one should meet (some 1e-8 pixels per image).

Anatomy, exposure, noise and break have streams of their own. So one seed shows one limb under one
exposure with one noise, and a broken phantom differs from its healthy twin at the break alone.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter, uniform_filter

from fracjax.datasets.phantom.fractures import FRACTURE_TYPES, break_bone
from fracjax.datasets.phantom.fragments import Scene
from fracjax.datasets.phantom.limbs import draw_limb
from fracjax.datasets.phantom.random_stream import Stream
from fracjax.errors import InputError

Image = Float[np.ndarray, "side side"]

_ANATOMY, _TEXTURE, _POSE, _EXPOSURE, _NOISE, _FRACTURE = range(6)
SMALLEST_SIDE = 32
_LETTERS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass(frozen=True)
class Phantom:
    """One drawn radiograph."""

    image: UInt8[np.ndarray, "side side"]  # grey values, bone bright
    # (y0, x0, y1, x1) of the break in pixels, from the top left corner of the image to outer pixel
    # edges; None when the limb is healthy.
    box: tuple[float, float, float, float] | None
    bones: int  # how many long bones the limb has, 1 or 2


def draw(seed: int, fracture: str | None, side: int = 256) -> Phantom:
    """Draw the radiograph of one limb, `side` pixels square.

    The seed says which limb, pose, exposure and noise; without a fracture, one of `FRACTURE_TYPES`,
    the limb is healthy.
    """
    types = ", ".join(map(repr, FRACTURE_TYPES))
    checks = {
        f"seed is {seed}; it must be 0 or more": seed < 0,
        f"unknown fracture type {fracture!r}; it must be None or one of {types}": fracture
        not in (None, *FRACTURE_TYPES),
        f"side is {side} pixels; it must be {SMALLEST_SIDE} or more": side < SMALLEST_SIDE,
    }
    if problems := [problem for problem, wrong in checks.items() if wrong]:
        raise InputError("cannot draw the phantom: " + "; ".join(problems))
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
    image = _develop(
        bone,
        limb.soft.attenuation(u, v),
        through=(limb.soft.depth, 1.4 * cortex.density * cortex.shaft_radius),
        stream=Stream(seed, _EXPOSURE),
        noise=Stream(seed, _NOISE).white_noise(side),
    )
    return Phantom(image, box, len(limb.bones))


def _turned(side: int, angle: float) -> tuple[Image, Image]:
    """The pixel centres about that of the image, along two turned axes, in units of its side."""
    axis = (np.arange(side) + 0.5) / side - 0.5
    y, x = np.meshgrid(axis, axis, indexing="ij")
    cosine, sine = np.cos(angle), np.sin(angle)
    return x * cosine + y * sine, y * cosine - x * sine


def _limb_frame(stream: Stream, side: int) -> tuple[Image, Image]:
    """The pixel centres in the limb's frame: joint below, as films are hung, but tilted."""
    u, v = _turned(side, np.pi / 2.0 + stream.uniform(-0.25, 0.25))
    across, along = stream.uniform(-0.04, 0.04), stream.uniform(-0.02, 0.02)
    return u - along, v - across


def _trabeculae(stream: Stream, side: int) -> Image:
    """Fine mottle of mean 0 and standard deviation about 1."""
    grain = 0.0045 * side
    mottle = gaussian_filter(stream.white_noise(side), grain, truncate=3.0)
    return mottle * (2.0 * np.pi**0.5 * grain)


def _box(change: Image) -> tuple[float, float, float, float]:
    """Bounds of the change: at each edge of the box, 2 % of its energy lies beyond."""
    edges = []
    for axis in (1, 0):
        energy = np.cumsum((change * change).sum(axis=axis))
        first, last = np.searchsorted(energy, (0.02 * energy[-1], 0.98 * energy[-1]))
        edges.append((max(float(first) - 1.0, 0.0), min(float(last) + 2.0, float(len(energy)))))
    (y0, y1), (x0, x1) = edges
    return y0, x0, y1, x1


def _develop(
    bone: Image, soft: Image, *, through: tuple[float, float], stream: Stream, noise: Image
) -> UInt8[np.ndarray, "side side"]:
    """From attenuation along each ray to grey values, with the settings that `stream` draws.

    Beer-Lambert transmission, scatter, the detector's blur, quantum noise, a logarithmic display
    window, a lead marker and the collimator's shutter. Nothing here looks at the fracture. `bone`
    attenuates beyond the soft tissue; `through` are both along the longest rays; `noise` is white,
    of standard deviation 1.
    """
    side = len(bone)
    # Distances of the collimator's four edges from the centre (left, right, top, bottom).
    edges = stream.uniform(0.43, 0.56, 4) if stream.uniform() < 0.6 else np.ones(4)
    # The noise is that of the open beam, relative to it; scatter is a fraction of the primary's
    # local mean; the blur is in units of the side.
    grain, scatter, blur = stream.uniform((0.006, 0.03, 0.003), (0.018, 0.15, 0.0055))
    black = stream.uniform(-0.2, 0.12) * through[0]
    white = stream.uniform(0.95, 1.12) * sum(through)
    gamma = stream.uniform(0.9, 1.25)  # above 1 darkens the middle
    shutter = _shutter(side, edges, stream.uniform(-0.06, 0.06))
    # Most scatter is born in the soft tissue; leaving the bone out keeps a break's change local.
    wide = max(int(0.1 * side) // 2 * 2 + 1, 3)
    light = gaussian_filter(np.exp(-(soft + bone)), blur * side, truncate=3.0)
    light = light + scatter * uniform_filter(uniform_filter(np.exp(-soft), wide), wide)
    light = light + grain * np.sqrt(light) * noise
    seen = -np.log(np.maximum(light / (1.0 + scatter), 1e-3))
    value = np.clip((seen - black) / (white - black), 0.0, 1.0) ** gamma
    return np.rint(255.0 * np.maximum(value, _marker(side, stream)) * shutter).astype(np.uint8)


def _shutter(side: int, edges: Float[np.ndarray, "4"], turn: float) -> Image:
    across, down = _turned(side, turn)
    left, right, top, bottom = edges
    inside = np.minimum(
        np.minimum(across + left, right - across), np.minimum(down + top, bottom - down)
    )
    return 0.02 + 0.98 * np.clip(0.5 + inside * side / 2.0, 0.0, 1.0)


def _marker(side: int, stream: Stream) -> Image | float:
    """How much of each pixel the lead letter, if there is one, covers, times its brightness."""
    if stream.uniform() >= 0.35:
        return 0.0
    letter = np.array([list(map(float, row)) for row in _LETTERS[stream.pick("LR")]])
    top, left = stream.uniform(-0.43, 0.36), stream.sign() * stream.uniform(0.34, 0.38)
    cell = stream.uniform(0.055, 0.08) / 7.0
    pixel = np.arange(side)[:, None] / side - 0.5

    def covered(start: float, cells: int) -> Float[np.ndarray, "side cells"]:
        """Fraction of each pixel of an axis that each cell of the letter's grid covers."""
        edge = start + cell * np.arange(cells)[None, :]
        shared = np.minimum(pixel + 1.0 / side, edge + cell) - np.maximum(pixel, edge)
        return side * np.maximum(shared, 0.0)

    return 0.95 * (covered(top, 7) @ letter @ covered(left, 5).T)
