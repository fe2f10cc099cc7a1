"""Draws a limb: a forearm, leg, upper arm or thigh down to the joint below it.

Measures are in units of the image's side before `zoom`; v is mirrored for left and right.
"""

from fracjax.datasets.phantom.anatomy import Bone, Limb, SmallBone, SoftTissue
from fracjax.datasets.phantom.random_stream import Stream

Bones = tuple[tuple[Bone, ...], tuple[Bone | SmallBone, ...]]  # as in `Limb`: bones, beyond


class _Builder:
    """What the bones of one limb have in common, and their jitter."""

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
