"""The limb of a phantom: bones of round cross-section in soft tissue, and the X-ray's path in them.

The limb has its own frame: u runs along it towards the joint, v across it, both in units of the
picture's side, with the origin near the picture's centre. A bone is a solid of revolution about
a slightly bowed centreline, so its cortex casts the two bright rims of a radiograph by itself:
the chord of a ring is longest at the inner wall.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fracjax.datasets.phantom_random import Stream

Map = Float[np.ndarray, "*grid"]

LIMBS = ("forearm", "leg", "upper arm", "thigh")


def smoothstep(x: Map) -> Map:
    """Rise from 0 at x <= 0 to 1 at x >= 1, flat at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def chord(radius: Map, offset: Map) -> Map:
    """Length of the ray through a cylinder of `radius` that passes its axis at `offset`."""
    return 2.0 * np.sqrt(np.maximum(radius * radius - offset * offset, 0.0))


@dataclass(frozen=True)
class Bone:
    """A long bone with one end in the picture; lengths in units of the picture's side.

    Attributes:
      end: u of the joint surface.
      towards: +1 when the shaft lies at u < end, -1 when it lies at u > end.
      centre: v of the centreline at the end; it goes on with `slope` and `bow` (1/side).
      shaft_radius: outer radius of the shaft.
      end_radius: outer radius at the joint.
      flare: length over which the shaft widens to the end.
      cortex: thickness of the shaft's wall, as a fraction of its radius.
      dome: how far the joint surface falls back at its rims; negative for a cup.
      tilt: slope of the joint surface (a styloid or malleolus on one side).
      notch: depth of the groove between two condyles.
      density: attenuation of cortex beyond that of soft tissue, per unit of length.
      spongiosa: attenuation of the ends' trabecular bone, relative to cortex.
    """

    end: float
    towards: int
    centre: float
    slope: float
    bow: float
    shaft_radius: float
    end_radius: float
    flare: float
    cortex: float
    dome: float
    tilt: float
    notch: float
    density: float
    spongiosa: float

    def centreline(self, u: Map) -> Map:
        """V of the axis."""
        along = u - self.end
        return self.centre + along * (self.slope + self.bow * along)

    def radius(self, u: Map) -> Map:
        """Outer radius, the joint's rounding aside."""
        widening = np.clip(1.0 - self.towards * (self.end - u) / self.flare, 0.0, 1.0) ** 2
        return self.shaft_radius + (self.end_radius - self.shaft_radius) * widening

    def attenuation(self, u: Map, v: Map, trabeculae: Map) -> Map:
        """Path integral of what the bone attenuates beyond the soft tissue in its place.

        Args:
          u: along the limb.
          v: across the limb.
          trabeculae: texture of mean 0 and standard deviation 1 at the same points.
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
        depth = self.towards * (self.end - u)  # below the joint surface
        depth = depth - self.dome * across * across - self.tilt * across
        depth = depth - self.notch * np.maximum(1.0 - 9.0 * across * across, 0.0)
        widening = np.clip(1.0 - depth / self.flare, 0.0, 1.0) ** 2
        outer = self.shaft_radius + (self.end_radius - self.shaft_radius) * widening
        wall = self.shaft_radius * self.cortex * (1.0 - 0.8 * widening)
        rounding = 0.35 * self.end_radius
        plate = 0.12 * self.shaft_radius  # the subchondral bone, a bright line under the joint
        whole = chord(outer * _cap(depth, rounding), offset)
        core = chord((outer - wall) * _cap(depth - plate, rounding), offset)
        spongy = self.spongiosa * (0.12 + smoothstep(1.6 * widening) * (1.0 + 0.3 * trabeculae))
        path.ravel()[near] = self.density * (whole - core + core * spongy)
        return path


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
        along = (u * cosine + v * sine) / self.long_radius
        across = (v * cosine - u * sine) / self.short_radius
        distance = along * along + across * across
        whole = np.sqrt(np.maximum(1.0 - distance, 0.0))
        core = np.sqrt(np.maximum(0.74 - distance, 0.0))
        spongy = 0.32 * (1.0 + 0.3 * trabeculae.ravel()[near])
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
    """What is in front of the detector.

    Attributes:
      bones: the one or two long bones, the thickest first. Any of them may break.
      beyond: the bones on the other side of the joint.
      soft: the soft tissue.
      joint: u of the joint.
    """

    bones: tuple[Bone, ...]
    beyond: tuple[Bone | SmallBone, ...]
    soft: SoftTissue
    joint: float


def _cap(depth: Map, rounding: float) -> Map:
    """Factor on the radius that rounds off the bone's end: a quarter ellipse."""
    rest = 1.0 - np.clip(depth / rounding, 0.0, 1.0)
    return np.sqrt(1.0 - rest * rest)


def draw_limb(stream: Stream) -> Limb:
    """Draw a forearm, leg, upper arm or thigh whose joint lies in the picture."""
    kind = stream.pick(LIMBS)
    zoom = stream.uniform(0.9, 1.15)
    joint = stream.uniform(0.18, 0.3)
    mirror = stream.sign()
    slope, bow = stream.uniform(-0.06, 0.06), stream.uniform(-0.12, 0.12)
    contrast = stream.uniform(0.9, 1.25)  # attenuation of the main shaft's cortex at its inner wall
    cortex = stream.uniform(0.24, 0.38)
    spongiosa = stream.uniform(0.22, 0.36)

    def bone(end, towards, centre, shaft, head, flare, *, dome=0.0, tilt=0.0, notch=0.0, main=0.0):
        shaft, head = shaft * zoom, head * zoom
        return Bone(
            end=end,
            towards=towards,
            centre=mirror * centre * zoom,
            slope=slope + stream.uniform(-0.03, 0.03),
            bow=bow + stream.uniform(-0.04, 0.04),
            shaft_radius=shaft,
            end_radius=head,
            flare=flare * zoom,
            cortex=cortex,
            dome=dome * head,
            tilt=mirror * tilt * head,
            notch=notch * head,
            density=contrast / (1.4 * (main or shaft / zoom) * zoom),
            spongiosa=spongiosa,
        )

    def small(u, v, long, short, angle, density):
        return SmallBone(u, mirror * v * zoom, long * zoom, short * zoom, mirror * angle, density)

    gap = stream.uniform(0.012, 0.02)
    if kind == "forearm":
        r = 0.05
        bones = (
            bone(joint, 1, -0.055, 0.05, 0.092, 0.2, dome=-0.05, tilt=-0.12, main=r),
            bone(joint - 0.015, 1, 0.1, 0.043, 0.055, 0.14, dome=0.1, tilt=0.1, main=r),
        )
        dense = bones[0].density * 0.55
        beyond: list[Bone | SmallBone] = []
        for row in range(2):
            for i in range(4):
                beyond.append(
                    small(
                        joint + gap + 0.055 + 0.075 * row + stream.uniform(-0.008, 0.008),
                        -0.095 + 0.066 * i + stream.uniform(-0.006, 0.006) + 0.008 * row,
                        stream.uniform(0.042, 0.05),
                        stream.uniform(0.034, 0.04),
                        stream.uniform(-1.5, 1.5),
                        dense,
                    )
                )
        for i in range(4):
            beyond.append(
                bone(joint + 0.19, -1, -0.095 + 0.068 * i, 0.02, 0.032, 0.09, dome=0.1, main=r)
            )
        half, depth = stream.uniform(0.24, 0.29), stream.uniform(0.5, 0.8)
    elif kind == "leg":
        r = 0.068
        bones = (
            bone(joint, 1, -0.03, 0.068, 0.105, 0.22, dome=-0.05, tilt=0.1, main=r),
            bone(joint + 0.06, 1, 0.125, 0.034, 0.052, 0.16, dome=0.3, tilt=0.2, main=r),
        )
        dense = bones[0].density * 0.42
        beyond = [
            small(joint + gap + 0.075, -0.01, 0.105, 0.085, 1.5 + stream.uniform(-0.1, 0.1), dense),
            small(joint + gap + 0.2, stream.uniform(-0.03, 0.03), 0.13, 0.08, 1.2, dense),
        ]
        half, depth = stream.uniform(0.23, 0.29), stream.uniform(0.6, 0.9)
    elif kind == "upper arm":
        r = 0.072
        bones = (bone(joint, 1, 0.0, 0.072, 0.135, 0.22, dome=0.1, notch=0.12, main=r),)
        beyond = [
            bone(joint + gap, -1, -0.06, 0.045, 0.06, 0.09, dome=-0.12, main=r),
            bone(joint - 0.03, -1, 0.055, 0.055, 0.075, 0.12, dome=-0.2, main=r),
        ]
        half, depth = stream.uniform(0.26, 0.34), stream.uniform(0.6, 0.95)
    else:
        r = 0.082
        bones = (bone(joint, 1, 0.0, 0.082, 0.15, 0.26, dome=0.16, notch=0.2, main=r),)
        beyond = [bone(joint + gap, -1, 0.0, 0.08, 0.15, 0.2, dome=-0.04, notch=-0.06, main=r)]
        if stream.chance(0.6):
            beyond.append(bone(joint + 0.07, -1, 0.125, 0.03, 0.04, 0.08, dome=0.3, main=r))
        if stream.chance(0.6):
            beyond.append(
                small(
                    joint - 0.1,
                    stream.uniform(-0.03, 0.03),
                    0.075,
                    0.068,
                    0.3,
                    bones[0].density * 0.3,
                )
            )
        half, depth = stream.uniform(0.3, 0.38), stream.uniform(0.7, 1.1)
    soft = SoftTissue(
        centre=stream.uniform(-0.02, 0.02) + (mirror * 0.02 if len(bones) == 2 else 0.0),
        slope=slope,
        half_width=half * zoom,
        taper=stream.uniform(-0.35, 0.1),
        swell=stream.uniform(0.02, 0.07),
        phase=stream.uniform(0.0, 6.28),
        fat=stream.uniform(0.06, 0.2),
        depth=depth,
    )
    return Limb(bones, tuple(beyond), soft, joint)
