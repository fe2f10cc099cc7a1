"""Fragments: cutting one bone of the limb in pieces and moving them.

A fragment is the whole bone seen through moved coordinates, times the fraction of the ray that lies
on its side of the break. Movements fade out along the shaft, as the joint and the muscles hold the
far ends, so the image changes near the break only. s is the way along the bone from the break
towards the joint, t the way across it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fracjax.datasets.phantom.limbs import Bone, Limb, Map, SmallBone, smoothstep
from fracjax.datasets.phantom.random_stream import Stream


@dataclass(frozen=True)
class Scene:
    """The limb and the points (u, v) of its frame at which it is seen."""

    limb: Limb
    u: Map
    v: Map
    trabeculae: Map  # the texture there
    pixel: float  # size of a pixel, in units of the image's side; edges are one pixel soft

    def intact(self, bone: Bone | SmallBone) -> Map:
        """The bone as it was."""
        return bone.attenuation(self.u, self.v, self.trabeculae)


class Site:
    """The place of a break, `u0` along one bone (s is 0 there), and the tools to cut."""

    def __init__(self, scene: Scene, stream: Stream, bone: Bone, u0: float):
        self.scene, self.stream = scene, stream
        self.bone, self.u0 = bone, u0
        self.radius = float(bone.radius(bone.end - u0))

    @classmethod
    def on_shaft(
        cls, scene: Scene, stream: Stream, low: float, high: float, clearance: float
    ) -> "Site":
        """Pick a bone and u in [low, high], at least `clearance` shaft radii above its end."""
        bone = pick_bone(scene, stream)
        high = min(high, bone.end - clearance * bone.shaft_radius)
        return cls(scene, stream, bone, stream.uniform(min(low, high), high))

    def local(self, u: Map, v: Map) -> tuple[Map, Map]:
        """Give s and t of the points."""
        return u - self.u0, v - self.bone.centreline(u)

    def moved(self, half: int, shift=0.0, slide=0.0, tilt=0.0) -> tuple[Map, Map]:
        """The scene's points as the fragment at s * half > 0 sees them after it has moved."""
        u, v = self.scene.u, self.scene.v
        s = u - self.u0
        if half > 0:  # turns about the joint, so it stays straight
            held = 1.0 - np.clip(s / (self.bone.end - self.u0), 0.0, 1.0)
        else:  # goes back to its course within the image
            held = 1.0 - smoothstep(-s / 0.22)
        return u - slide * held, v - (shift + tilt * s) * held

    def edge(self, x: Map) -> Map:
        """1 where x > 0, 0 where x < 0, one pixel soft."""
        return np.clip(0.5 + x / self.scene.pixel, 0.0, 1.0)

    def band(self, x: Map, width: Map | float) -> Map:
        """1 where |x| < width / 2, one pixel soft; fainter when it is thinner than a pixel."""
        return self.edge(x + width / 2.0) - self.edge(x - width / 2.0)

    def jagged(self, size: float, teeth: int = 9) -> Callable[[Map], Map]:
        """A broken line over t in [-1.6, 1.6] radii, of height `size` radii."""
        knots = np.linspace(-1.6, 1.6, teeth) * self.radius
        heights = self.stream.uniform(-size, size, teeth) * self.radius
        return lambda t: np.interp(t, knots, heights)

    def added(self, *fragments: tuple[tuple[Map, Map], Callable[[Map, Map], Map]]) -> Map:
        """What fragments, each (moved points, what is left there), add to the intact bone."""
        broken = np.zeros_like(self.scene.u)
        for (u, v), left in fragments:
            bone = self.bone.attenuation(u, v, self.scene.trabeculae)
            broken += left(*self.local(u, v)) * bone
        return broken - self.scene.intact(self.bone)


def pick_bone(scene: Scene, stream: Stream) -> Bone:
    """Pick a bone to break; the thin fibula is spared, for it is lost in a small image."""
    bones = scene.limb.bones
    return stream.pick([b for b in bones if b.shaft_radius > 0.7 * bones[0].shaft_radius])
