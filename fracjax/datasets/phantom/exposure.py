"""From attenuation along each ray to the grey values of the developed radiograph.

Beer-Lambert transmission, scatter, the detector's blur, quantum noise, a logarithmic display
window, the collimator's shutter and a lead marker. Nothing here looks at the fracture, so a
healthy and a broken limb of one seed share exposure, noise, borders and marker.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter, uniform_filter

from fracjax.datasets.phantom.random_stream import Stream

Picture = Float[np.ndarray, "side side"]

_LETTERS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass(frozen=True)
class Exposure:
    """Settings of one exposure; lengths in units of the picture's side.

    Attributes:
      noise: standard deviation of the quantum noise in the open beam, relative to it.
      scatter: scattered light, as a fraction of the primary's local mean.
      blur: standard deviation of the detector's response.
      black, white: attenuation shown as black and as white.
      gamma: of the display; above 1 darkens the middle.
      shutter: distances of the collimator's four edges from the centre (left, right, top, bottom).
      shutter_turn: rotation of the collimator, in radians.
      marker: "L", "R" or None, and its place (y, x) and height.
    """

    noise: float
    scatter: float
    blur: float
    black: float
    white: float
    gamma: float
    shutter: tuple[float, float, float, float]
    shutter_turn: float
    marker: str | None
    marker_place: tuple[float, float]
    marker_height: float


def draw_exposure(stream: Stream, soft: float, bone: float) -> Exposure:
    """Draw the settings for a limb whose soft tissue and cortex attenuate by `soft` and `bone`."""
    collimated = stream.chance(0.6)
    edges = [stream.uniform(0.43, 0.56) if collimated else 1.0 for _ in range(4)]
    return Exposure(
        noise=stream.uniform(0.006, 0.018),
        scatter=stream.uniform(0.03, 0.15),
        blur=stream.uniform(0.003, 0.0055),
        black=stream.uniform(-0.2, 0.12) * soft,
        white=stream.uniform(0.95, 1.12) * (soft + bone),
        gamma=stream.uniform(0.9, 1.25),
        shutter=(edges[0], edges[1], edges[2], edges[3]),
        shutter_turn=stream.uniform(-0.06, 0.06),
        marker=stream.pick(("L", "R")) if stream.chance(0.35) else None,
        marker_place=(stream.uniform(-0.43, 0.36), stream.sign() * stream.uniform(0.34, 0.38)),
        marker_height=stream.uniform(0.055, 0.08),
    )


def develop(
    bone: Picture, soft: Picture, exposure: Exposure, noise: Picture
) -> UInt8[np.ndarray, "side side"]:
    """Expose and develop one picture.

    Args:
      bone: attenuation of the bones beyond the soft tissue they displace.
      soft: attenuation of the soft tissue.
      exposure: the settings.
      noise: white noise of standard deviation 1.
    """
    side = bone.shape[0]
    # Most scatter is born in the soft tissue; leaving the bone out keeps a break's change local.
    wide = max(int(0.1 * side) // 2 * 2 + 1, 3)
    scattered = uniform_filter(uniform_filter(np.exp(-soft), wide), wide)
    light = np.exp(-(soft + bone))
    light = gaussian_filter(light, exposure.blur * side, truncate=3.0)
    light = light + exposure.scatter * scattered
    light = light + exposure.noise * np.sqrt(light) * noise
    seen = -np.log(np.maximum(light / (1.0 + exposure.scatter), 1e-3))
    value = np.clip((seen - exposure.black) / (exposure.white - exposure.black), 0.0, 1.0)
    value = value**exposure.gamma
    value = np.maximum(value, _marker(exposure, side))
    return np.rint(255.0 * value * _shutter(exposure, side)).astype(np.uint8)


def pixel_centres(side: int) -> tuple[Picture, Picture]:
    """Row and column positions from the picture's centre, in units of its side."""
    axis = (np.arange(side) + 0.5) / side - 0.5
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _shutter(exposure: Exposure, side: int) -> Picture:
    y, x = pixel_centres(side)
    cosine, sine = np.cos(exposure.shutter_turn), np.sin(exposure.shutter_turn)
    across, down = x * cosine + y * sine, y * cosine - x * sine
    left, right, top, bottom = exposure.shutter
    inside = np.minimum(
        np.minimum(across + left, right - across), np.minimum(down + top, bottom - down)
    )
    return 0.02 + 0.98 * np.clip(0.5 + inside * side / 2.0, 0.0, 1.0)


def _marker(exposure: Exposure, side: int) -> Picture:
    """How much of each pixel the lead letter covers, times its brightness."""
    if exposure.marker is None:
        return np.zeros((side, side))
    letter = np.array([[int(c) for c in row] for row in _LETTERS[exposure.marker]], np.float64)
    top, left = exposure.marker_place
    cell = exposure.marker_height / 7.0
    rows, columns = _overlap(side, top, cell, 7), _overlap(side, left, cell, 5)
    return 0.95 * (rows @ letter @ columns.T)


def _overlap(side: int, start: float, cell: float, cells: int) -> Float[np.ndarray, "side cells"]:
    """Share of each pixel of an axis that each cell of the letter's grid covers."""
    pixel = np.arange(side)[:, None] / side - 0.5
    edge = start + cell * np.arange(cells)[None, :]
    shared = np.minimum(pixel + 1.0 / side, edge + cell) - np.maximum(pixel, edge)
    return side * np.maximum(shared, 0.0)
