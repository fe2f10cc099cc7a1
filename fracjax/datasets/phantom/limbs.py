"""Draws a limb: a forearm, leg, upper arm or thigh down to the joint below it.

Measures are in units of the picture's side before `zoom`; v is mirrored for left and right.
"""

from collections.abc import Callable

from fracjax.datasets.phantom.anatomy import Bone, Limb, SmallBone, SoftTissue
from fracjax.datasets.phantom.random_stream import Stream

Beyond = tuple[Bone | SmallBone, ...]


class _Builder:
    """What the bones of one limb have in common, and their jitter."""

    def __init__(self, stream: Stream):
        self.stream = stream
        self.zoom = stream.uniform(1.2, 1.45)
        self.joint = stream.uniform(0.18, 0.25)
        self.gap = stream.uniform(0.012, 0.02)
        self.mirror = stream.sign()
        self.slope, self.bow = stream.uniform(-0.06, 0.06), stream.uniform(-0.12, 0.12)
        self.cortex = stream.uniform(0.24, 0.38)
        self.spongiosa = stream.uniform(0.16, 0.26)
        # Attenuation of the main shaft's cortex along the longest ray in it.
        self.contrast = stream.uniform(0.9, 1.25)
        self.density = 0.0

    def long(
        self,
        end: float,
        centre: float,
        shaft: float,
        head: float,
        flare: float,
        *,
        towards: int = 1,
        dome: float = 0.0,
        tilt: float = 0.0,
        notch: float = 0.0,
    ) -> Bone:
        """A long bone; the first one of a limb sets the density of them all."""
        stream, zoom = self.stream, self.zoom
        self.density = self.density or self.contrast / (1.4 * shaft * zoom)
        return Bone(
            end=end,
            towards=towards,
            centre=self.mirror * centre * zoom,
            slope=self.slope + stream.uniform(-0.03, 0.03),
            bow=self.bow + stream.uniform(-0.04, 0.04),
            shaft_radius=shaft * zoom,
            end_radius=head * zoom,
            flare=flare * zoom,
            cortex=self.cortex,
            dome=dome * head * zoom,
            tilt=self.mirror * tilt * head * zoom,
            notch=notch * head * zoom,
            density=self.density,
            spongiosa=self.spongiosa,
        )

    def small(
        self, below: float, v: float, long: float, short: float, angle: float, density: float
    ) -> SmallBone:
        """A short bone whose middle lies `below` the joint; `density` is relative to cortex."""
        jitter = self.stream.uniforms(3, -1.0, 1.0)
        return SmallBone(
            u=self.joint + (below + 0.005 * jitter[0]) * self.zoom,
            v=self.mirror * (v + 0.005 * jitter[1]) * self.zoom,
            long_radius=long * self.zoom,
            short_radius=short * self.zoom,
            angle=self.mirror * (angle + 0.2 * jitter[2]),
            density=density * self.density,
        )


def _forearm(b: _Builder) -> tuple[tuple[Bone, ...], Beyond]:
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


def _leg(b: _Builder) -> tuple[tuple[Bone, ...], Beyond]:
    tibia = b.long(b.joint, -0.03, 0.066, 0.112, 0.26, dome=-0.1, tilt=0.14)
    fibula = b.long(b.joint + 0.075, 0.11, 0.034, 0.054, 0.18, dome=0.35, tilt=0.2)
    foot = (
        b.small(0.082, -0.02, 0.1, 0.07, 1.6, 0.8),  # talus
        b.small(0.185, 0.0, 0.12, 0.085, 1.35, 0.6),  # calcaneus
    )
    return (tibia, fibula), foot


def _upper_arm(b: _Builder) -> tuple[tuple[Bone, ...], Beyond]:
    humerus = b.long(b.joint, 0.0, 0.066, 0.14, 0.2, dome=0.12, tilt=0.1, notch=0.1)
    ulna = b.long(b.joint + b.gap, 0.04, 0.046, 0.082, 0.14, towards=-1, dome=-0.15)
    radius = b.long(b.joint + b.gap, -0.08, 0.04, 0.056, 0.07, towards=-1, dome=-0.12)
    olecranon = b.small(-0.02, 0.035, 0.075, 0.06, 0.1, 0.4)
    return (humerus,), (ulna, radius, olecranon)


def _thigh(b: _Builder) -> tuple[tuple[Bone, ...], Beyond]:
    femur = b.long(b.joint, 0.0, 0.075, 0.165, 0.32, dome=0.16, notch=0.18)
    tibia = b.long(b.joint + b.gap, 0.0, 0.07, 0.163, 0.26, towards=-1, dome=-0.05, notch=-0.06)
    fibula = b.long(b.joint + 0.075, 0.135, 0.03, 0.045, 0.08, towards=-1, dome=0.3)
    patella = b.small(-0.12, 0.01, 0.08, 0.07, 0.3, 0.28)
    return (femur,), (tibia, fibula, patella)


# Each with the range of the soft tissue's half width, and of its attenuation through the middle.
_LIMBS: tuple[tuple[Callable[[_Builder], tuple[tuple[Bone, ...], Beyond]], tuple, tuple], ...] = (
    (_forearm, (0.22, 0.27), (0.5, 0.8)),
    (_leg, (0.22, 0.29), (0.6, 0.9)),
    (_upper_arm, (0.26, 0.34), (0.6, 0.95)),
    (_thigh, (0.3, 0.38), (0.7, 1.1)),
)


def draw_limb(stream: Stream) -> Limb:
    """Draw a limb whose joint lies in the picture, below its middle."""
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
