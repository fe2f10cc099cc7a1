"""The limb of a phantom: bones of round cross-section in soft tissue, and the X-ray's path in them.

The limb has its own frame: u runs along it towards the joint, v across it, both in units of the
image's side, with the origin near the image's centre. A bone is a solid of revolution about a
slightly bowed centreline, so its cortex casts the two bright rims of a radiograph by itself: the
chord of a ring is longest at the inner wall.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

Map = Float[np.ndarray, "*grid"]


def smoothstep(x: Map) -> Map:
    """Rise from 0 at x <= 0 to 1 at x >= 1, flat at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def chord(radius: Map | float, offset: Map) -> Map:
    """Length of the ray through a cylinder of `radius` that passes its axis at `offset`."""
    return 2.0 * np.sqrt(np.maximum(radius * radius - offset * offset, 0.0))


@dataclass(frozen=True)
class Bone:
    """A long bone with one end in the image; lengths in units of the image's side."""

    end: float  # u of the joint surface
    towards: int  # +1 when the shaft lies at u < end, -1 when it lies at u > end
    centre: float  # v of the centreline at the end; it goes on with `slope` and `bow` (1/side)
    slope: float
    bow: float
    shaft_radius: float  # outer radius of the shaft
    end_radius: float  # and at the joint
    flare: float  # length over which the shaft widens to the end
    cortex: float  # thickness of the shaft's wall, as a fraction of its radius
    dome: float  # how far the joint surface falls back at its rims; negative for a cup
    tilt: float  # slope of the joint surface (a styloid or malleolus on one side)
    notch: float  # depth of the groove between two condyles
    density: float  # attenuation of cortex beyond that of soft tissue, per unit of length
    spongiosa: float  # attenuation of the ends' trabecular bone, relative to cortex

    def centreline(self, u: Map) -> Map:
        """V of the axis."""
        along = u - self.end
        return self.centre + along * (self.slope + self.bow * along)

    def _widening(self, depth: Any) -> Any:
        """From 0 in the shaft to 1 at the joint, `depth` below its surface."""
        return np.clip(1.0 - depth / self.flare, 0.0, 1.0) ** 2

    def radius(self, depth: Any) -> Any:
        """Outer radius at a depth below the joint, whose rounding is left aside."""
        return self.shaft_radius + (self.end_radius - self.shaft_radius) * self._widening(depth)

    def attenuation(self, u: Map, v: Map, trabeculae: Map) -> Map:
        """Path integral of what the bone attenuates beyond the soft tissue in its place.

        `trabeculae` is a texture of mean 0 and standard deviation 1 at the points (u, v).
        """
        path = np.zeros_like(u)
        reach = 1.05 * max(self.end_radius, self.shaft_radius)
        deep = max(-self.dome, 0.0) + abs(self.tilt)
        near = np.flatnonzero(
            (np.abs(v - self.centreline(u)) < reach) & (self.towards * (self.end - u) > -deep)
        )
        u, v, trabeculae = u.ravel()[near], v.ravel()[near], trabeculae.ravel()[near]
        offset = v - self.centreline(u)
        across = offset / self.end_radius
        depth = self.towards * (self.end - u)
        depth = depth - self.dome * across * across - self.tilt * across
        depth = depth - self.notch * np.maximum(1.0 - 9.0 * across * across, 0.0)
        outer, widening = self.radius(depth), self._widening(depth)
        wall = self.shaft_radius * self.cortex * (1.0 - 0.8 * widening)
        rounding = 0.35 * self.end_radius
        plate = 0.12 * self.shaft_radius  # the subchondral bone, a bright line under the joint
        whole = chord(outer * _cap(depth, rounding), offset)
        core = chord((outer - wall) * _cap(depth - plate, rounding), offset)
        # Fat in the shaft; trabeculae towards the end.
        spongy = self.spongiosa * (0.15 + smoothstep(1.4 * widening) * (1.0 + 0.2 * trabeculae))
        path.ravel()[near] = self.density * (whole - core + core * spongy)
        return path


def _cap(depth: Map, rounding: float) -> Map:
    """Factor on the radius that rounds off the bone's end: a quarter ellipse."""
    rest = 1.0 - np.clip(depth / rounding, 0.0, 1.0)
    return np.sqrt(1.0 - rest * rest)


@dataclass(frozen=True)
class SmallBone:
    """A carpal, tarsal or sesamoid bone: an ellipsoid with a thin cortex, turned by `angle`."""

    u: float
    v: float
    long_radius: float
    short_radius: float
    angle: float
    density: float

    def attenuation(self, u: Map, v: Map, trabeculae: Map) -> Map:
        """As `Bone.attenuation`."""
        path = np.zeros_like(u)
        near = np.flatnonzero(
            (np.abs(u - self.u) < self.long_radius) & (np.abs(v - self.v) < self.long_radius)
        )
        u, v = u.ravel()[near] - self.u, v.ravel()[near] - self.v
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along = ((u * cosine + v * sine) / self.long_radius) ** 2
        across = ((v * cosine - u * sine) / self.short_radius) ** 2
        # Between an ellipse and a rounded block.
        distance = np.sqrt(along * along + across * across + along * across)
        whole = np.sqrt(np.maximum(1.0 - distance, 0.0))
        core = np.sqrt(np.maximum(0.8 - distance, 0.0))
        spongy = 0.4 * (1.0 + 0.2 * trabeculae.ravel()[near])
        path.ravel()[near] = 2.0 * self.short_radius * self.density * (whole - core + core * spongy)
        return path


@dataclass(frozen=True)
class SoftTissue:
    """Skin, fat and muscle: an elliptic cylinder whose width swells and wanes along the limb."""

    centre: float
    slope: float
    half_width: float
    taper: float
    swell: float
    phase: float
    fat: float  # thickness of the subcutaneous layer, as a fraction of the half width
    depth: float  # attenuation through the middle of the limb

    def attenuation(self, u: Map, v: Map) -> Map:
        """Path integral of the limb without its bones."""
        half = self.half_width * (1.0 + self.taper * u + self.swell * np.sin(5.0 * u + self.phase))
        across = (v - self.centre - self.slope * u) / half
        limb = np.sqrt(np.maximum(1.0 - across * across, 0.0))
        muscle = np.sqrt(np.maximum((1.0 - self.fat) ** 2 - across * across, 0.0))
        return self.depth * (0.75 * limb + 0.25 * muscle)


@dataclass(frozen=True)
class Limb:
    """What is in front of the detector."""

    bones: tuple[Bone, ...]  # the one or two long bones, the thickest first. Any of them may break
    beyond: tuple[Bone | SmallBone, ...]  # the bones on the other side of the joint
    soft: SoftTissue
    joint: float  # u of the joint
