"""The limb of a phantom: a forearm, leg, upper arm or thigh down to the joint below it.

The limb has its own frame: u runs along it towards the joint, v across it, both in units of the
image's side, with the origin near the image's centre. A bone is a solid of revolution about a
slightly bowed centreline, so its cortex casts the two bright rims of a radiograph by itself: the
chord of a ring is longest at the inner wall.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from fracjax.datasets.phantom.random_stream import Stream

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


Bones = tuple[tuple[Bone, ...], tuple[Bone | SmallBone, ...]]  # as in `Limb`: bones, beyond


class _Builder:
    """What the bones of one limb have in common, and their jitter.

    Measures are in units of the image's side before `zoom`; v is mirrored for left and right.
    """

    def __init__(self, stream: Stream):
        self.stream = stream
        self.zoom, self.joint, self.gap = stream.uniform((1.2, 0.18, 0.012), (1.45, 0.25, 0.02))
        self.mirror = stream.sign()
        # Contrast: attenuation of the main shaft's cortex along the longest ray in it.
        self.slope, self.bow, self.cortex, self.spongiosa, self.contrast = stream.uniform(
            (-0.06, -0.12, 0.24, 0.16, 0.9), (0.06, 0.12, 0.38, 0.26, 1.25)
        )
        self.density = 0.0

    def long(
        self, end: float, centre: float, shaft: float, head: float, flare: float,
        *, towards: int = 1, dome: float = 0.0, tilt: float = 0.0, notch: float = 0.0,
    ) -> Bone:  # fmt: skip
        """A long bone; the first one of a limb sets the density of them all."""
        zoom, head = self.zoom, head * self.zoom
        self.density = self.density or self.contrast / (1.4 * shaft * zoom)
        slope, bow = self.stream.uniform((-0.03, -0.04), (0.03, 0.04))
        return Bone(
            end=end,
            towards=towards,
            centre=self.mirror * centre * zoom,
            slope=self.slope + slope,
            bow=self.bow + bow,
            shaft_radius=shaft * zoom,
            end_radius=head,
            flare=flare * zoom,
            cortex=self.cortex,
            dome=dome * head,
            tilt=self.mirror * tilt * head,
            notch=notch * head,
            density=self.density,
            spongiosa=self.spongiosa,
        )

    def small(
        self, below: float, v: float, long: float, short: float, angle: float, density: float
    ) -> SmallBone:
        """A short bone whose middle lies `below` the joint; `density` is relative to cortex."""
        along, across, turn = self.stream.uniform(-1.0, 1.0, 3)
        return SmallBone(
            u=self.joint + (below + 0.005 * along) * self.zoom,
            v=self.mirror * (v + 0.005 * across) * self.zoom,
            long_radius=long * self.zoom,
            short_radius=short * self.zoom,
            angle=self.mirror * (angle + 0.2 * turn),
            density=density * self.density,
        )


def _forearm(b: _Builder) -> Bones:
    radius = b.long(b.joint, -0.055, 0.05, 0.096, 0.22, dome=-0.05, tilt=-0.15)
    ulna = b.long(b.joint - 0.02, 0.095, 0.043, 0.054, 0.12, dome=0.15, tilt=0.15)
    carpals = (
        b.small(0.05, -0.1, 0.052, 0.034, 0.9, 1.1),  # scaphoid
        b.small(0.045, -0.03, 0.04, 0.036, 0.3, 1.1),  # lunate
        b.small(0.05, 0.042, 0.04, 0.032, -0.6, 1.0),  # triquetrum
        b.small(0.112, -0.125, 0.034, 0.03, 0.4, 1.0),  # trapezium
        b.small(0.115, -0.066, 0.032, 0.028, 0.2, 1.0),  # trapezoid
        b.small(0.106, -0.01, 0.05, 0.034, 0.1, 1.1),  # capitate
        b.small(0.108, 0.055, 0.042, 0.034, -0.4, 1.0),  # hamate
    )
    metacarpals = tuple(
        b.long(b.joint + 0.15 * b.zoom, v, 0.021, 0.034, 0.07, towards=-1, dome=-0.2)
        for v in (-0.085, -0.022, 0.035, 0.085)
    )
    return (radius, ulna), carpals + metacarpals


def _leg(b: _Builder) -> Bones:
    tibia = b.long(b.joint, -0.03, 0.066, 0.112, 0.26, dome=-0.1, tilt=0.14)
    fibula = b.long(b.joint + 0.075, 0.11, 0.034, 0.054, 0.18, dome=0.35, tilt=0.2)
    talus = b.small(0.082, -0.02, 0.1, 0.07, 1.6, 0.8)
    calcaneus = b.small(0.185, 0.0, 0.12, 0.085, 1.35, 0.6)
    return (tibia, fibula), (talus, calcaneus)


def _upper_arm(b: _Builder) -> Bones:
    humerus = b.long(b.joint, 0.0, 0.066, 0.14, 0.2, dome=0.12, tilt=0.1, notch=0.1)
    ulna = b.long(b.joint + b.gap, 0.04, 0.046, 0.082, 0.14, towards=-1, dome=-0.15)
    radius = b.long(b.joint + b.gap, -0.08, 0.04, 0.056, 0.07, towards=-1, dome=-0.12)
    olecranon = b.small(-0.02, 0.035, 0.075, 0.06, 0.1, 0.4)
    return (humerus,), (ulna, radius, olecranon)


def _thigh(b: _Builder) -> Bones:
    femur = b.long(b.joint, 0.0, 0.075, 0.165, 0.32, dome=0.16, notch=0.18)
    tibia = b.long(b.joint + b.gap, 0.0, 0.07, 0.163, 0.26, towards=-1, dome=-0.05, notch=-0.06)
    fibula = b.long(b.joint + 0.075, 0.135, 0.03, 0.045, 0.08, towards=-1, dome=0.3)
    patella = b.small(-0.12, 0.01, 0.08, 0.07, 0.3, 0.28)
    return (femur,), (tibia, fibula, patella)


# Each with the range of the soft tissue's half width, and of its attenuation through the middle.
_LIMBS = (
    (_forearm, (0.22, 0.27), (0.5, 0.8)),
    (_leg, (0.22, 0.29), (0.6, 0.9)),
    (_upper_arm, (0.26, 0.34), (0.6, 0.95)),
    (_thigh, (0.3, 0.38), (0.7, 1.1)),
)


def draw_limb(stream: Stream) -> Limb:
    """Draw a limb whose joint lies in the image, below its middle."""
    bones_of, half_width, depth = stream.pick(_LIMBS)
    b = _Builder(stream)
    bones, beyond = bones_of(b)
    soft = SoftTissue(
        centre=stream.uniform(-0.02, 0.02) + (b.mirror * 0.02 if len(bones) == 2 else 0.0),
        slope=b.slope,
        half_width=stream.uniform(*half_width) * b.zoom,
        taper=stream.uniform(-0.35, 0.1),
        swell=stream.uniform(0.02, 0.07),
        phase=stream.uniform(0.0, 6.28),
        fat=stream.uniform(0.06, 0.2),
        depth=stream.uniform(*depth),
    )
    return Limb(bones, beyond, soft, b.joint)
