"""The ten breaks of the paper's Table 1, each a change of one bone of the limb.

Lengths are in radii of the bone at the break unless they are products with `r` or `head`.
"""

import numpy as np

from fracjax.datasets.phantom.fragments import Scene, Site, pick_bone
from fracjax.datasets.phantom.limbs import Map, chord, smoothstep
from fracjax.datasets.phantom.random_stream import Stream
from fracjax.datasets.sources.bone_break import CLASSES


def _oblique(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.1, 0.06, 2.5)
    r, rise = site.radius, stream.sign() * stream.uniform(0.9, 1.7)
    teeth = site.jagged(0.12)
    shift = stream.sign() * stream.uniform(0.5, 0.9) * r
    slide = -stream.uniform(0.0, 0.3) * r
    tilt = stream.uniform(-0.15, 0.15)

    def below(s: Map, t: Map) -> Map:
        return site.edge(s - rise * t - teeth(t))

    near = site.moved(-1, shift=-0.25 * shift)
    far = site.moved(1, shift=0.75 * shift, slide=slide + 0.2 * r, tilt=tilt)
    return site.added((near, lambda s, t: 1.0 - below(s, t)), (far, below))


def _spiral(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.12, 0.04, 3.2)
    r, hand = site.radius, stream.sign()
    pitch = stream.uniform(3.5, 5.5) * r
    teeth = site.jagged(0.08)

    def side_of(s: Map, t: Map) -> Map:
        # The front half of the helix climbs, the back half returns steeply: two crossing lines.
        angle = np.clip(hand * t / r, -1.0, 1.0)
        front = pitch * angle / 2.0 + teeth(t)
        back = -pitch * angle * (0.55 + 0.45 * angle * angle) / 2.0 + 0.3 * pitch * (1 - angle**2)
        return 0.5 * (site.edge(s - front) + site.edge(s - back))

    shift = stream.sign() * stream.uniform(0.2, 0.45) * r
    apart = stream.uniform(0.28, 0.45) * r
    near = site.moved(-1, slide=-0.5 * apart, shift=-0.3 * shift)
    far = site.moved(1, slide=0.5 * apart, shift=0.7 * shift)
    return site.added((near, lambda s, t: 1.0 - side_of(s, t)), (far, side_of))


def _comminuted(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.12, 0.05, 3.0)
    r = site.radius
    half = stream.uniform(0.7, 1.1) * r
    lean = stream.uniform(-0.5, 0.5), stream.uniform(-0.5, 0.5)
    low, high = site.jagged(0.3), site.jagged(0.3)
    shift = stream.sign() * stream.uniform(0.3, 0.6) * r

    def above(s: Map, t: Map) -> Map:
        return site.edge(lean[0] * t + low(t) - half - s)

    def below(s: Map, t: Map) -> Map:
        return site.edge(s - half - lean[1] * t - high(t))

    tilt = stream.uniform(-0.2, 0.2)
    fragments = [
        (site.moved(-1, shift=-0.3 * shift, slide=-0.1 * r), above),
        (site.moved(1, shift=0.5 * shift, slide=0.1 * r, tilt=tilt), below),
    ]
    # The middle splits lengthwise into pieces, each pushed its own way.
    cuts = [-2.0, stream.uniform(-0.5, -0.1), stream.uniform(0.1, 0.5), 2.0]
    split = site.jagged(0.3)
    for i in range(3):
        drift = (i - 1) * stream.uniform(0.2, 0.55) * r + stream.uniform(-0.1, 0.1) * r
        turn = stream.uniform(-0.35, 0.35)
        s, t = site.local(scene.u, scene.v)
        slide = stream.uniform(-0.3, 0.3) * r

        def piece(s: Map, t: Map, left=cuts[i] * r, right=cuts[i + 1] * r) -> Map:
            between = (1.0 - below(s, t)) * (1.0 - above(s, t))
            return between * site.edge(t - left - split(s)) * site.edge(right + split(s) - t)

        fragments.append(((scene.u + turn * t - slide, scene.v - drift - turn * s), piece))
    return site.added(*fragments)


def _greenstick(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.1, 0.06, 2.5)
    r, convex = site.radius, stream.sign()
    bend = stream.uniform(0.22, 0.36)
    lean, teeth = stream.uniform(-0.3, 0.3), site.jagged(0.12)
    s = scene.u - site.u0
    # A bow with its corner at the break; the corner lies on the torn, convex side.
    apex = convex * bend * 0.075 * (1.0 - smoothstep(np.abs(s) / 0.2)) * (1.0 - np.abs(s) / 0.2)
    deep = stream.uniform(-0.3, 0.2)  # where the crack ends, in radii from the centreline
    gape = stream.uniform(0.35, 0.6) * r

    def uncracked(s: Map, t: Map) -> Map:
        opening = np.maximum(convex * t / r - deep, 0.0)
        return 1.0 - site.band(s - lean * t - teeth(t), gape * opening + 0.005) * (opening > 0)

    return site.added(((scene.u, scene.v - apex), uncracked))


def _hairline(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.1, 0.08, 1.5)
    r = site.radius
    lean, teeth = stream.sign() * stream.uniform(0.1, 0.6), site.jagged(0.18)
    width, depth = stream.uniform(0.013, 0.018), stream.uniform(0.7, 0.9)
    side, stop = stream.sign(), stream.uniform(0.6, 1.2)

    def uncracked(s: Map, t: Map) -> Map:
        along = np.clip((stop * r - side * t) / (0.3 * r), 0.0, 1.0)
        return 1.0 - depth * along * site.band(s - lean * t - teeth(t), width)

    return site.added(((scene.u, scene.v), uncracked))


def _impacted(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.02, 0.16, 1.9)
    r = site.radius
    drive = stream.uniform(0.35, 0.6) * r  # how far the shaft is driven into the end
    low, high = site.jagged(0.16), site.jagged(0.16)
    tilt = stream.uniform(-0.15, 0.15)
    shift = stream.uniform(-0.12, 0.12) * r
    near = site.moved(-1, slide=0.5 * drive)
    far = site.moved(1, slide=-0.5 * drive, shift=shift, tilt=tilt)
    change = site.added(
        (near, lambda s, t: site.edge(low(t) - s)), (far, lambda s, t: site.edge(s - low(t)))
    )
    s, t = site.local(scene.u, scene.v)
    crush = site.band(s - high(t), 0.7 * drive) * chord(1.12 * r, t)
    return change + 0.12 * site.bone.density * crush


def _longitudinal(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.12, 0.02, 3.5)
    r = site.radius
    half = stream.uniform(2.0, 3.2) * r
    place, lean = stream.uniform(-0.35, 0.35) * r, stream.uniform(-0.12, 0.12)
    teeth = site.jagged(0.12, teeth=11)
    width, apart = stream.uniform(0.018, 0.028), stream.uniform(0.1, 0.3) * r

    def whole(s: Map, t: Map) -> Map:
        taper = np.clip(2.0 * (1.0 - np.abs(s) / half), 0.0, 1.0)
        beside = t - place - lean * s - teeth(s * 1.6 * r / half)
        return 1.0 - 0.85 * (taper > 0) * site.band(beside, width * taper)

    s, t = site.local(scene.u, scene.v)
    held = 1.0 - smoothstep(np.abs(s) / (1.3 * half))
    spread = scene.v - 0.5 * apart * held * np.clip((t - place - lean * s) / (0.3 * r), -1, 1)
    return site.added(((scene.u, spread), whole))


def _pathological(scene: Scene, stream: Stream) -> Map:
    site = Site.on_shaft(scene, stream, -0.1, 0.08, 1.5)
    r = site.radius
    swell = 1.0 + stream.uniform(0.1, 0.3)
    long = stream.uniform(1.2, 1.9) * r
    s, t = site.local(scene.u, scene.v)
    bulge = 1.0 + (swell - 1.0) * np.maximum(1.0 - (s / (1.2 * long)) ** 2, 0.0) ** 2
    # Five ellipses: middle (s, t), then half axes.
    lobes = stream.uniform((-0.55, -0.4, 0.4, 0.5), (0.55, 0.4, 0.65, 0.75), (5, 4))
    lobes = lobes * (long, r, long, r)
    loss = stream.uniform(0.6, 0.85)
    teeth, lean = site.jagged(0.2), stream.uniform(-0.3, 0.3)

    def eaten(s: Map, t: Map) -> Map:
        left = np.ones_like(s)
        for s0, t0, a, b in lobes:
            inside = 1.0 - ((s - s0) / a) ** 2 - ((t - t0) / b) ** 2
            left = np.minimum(left, 1.0 - loss * np.sqrt(np.clip(inside * 1.5, 0.0, 1.0)))
        return left * (1.0 - 0.6 * site.band(s - lean * t - teeth(t), 0.011))

    return site.added(((scene.u, site.bone.centreline(scene.u) + t / bulge), eaten))


def _avulsion(scene: Scene, stream: Stream) -> Map:
    bone, side = pick_bone(scene, stream), stream.sign()
    head = bone.end_radius
    site = Site(scene, stream, bone, bone.end - stream.uniform(0.35, 0.6) * head)
    r = site.radius
    lean, teeth = stream.uniform(0.25, 0.45), site.jagged(0.08)
    cut = stream.uniform(0.35, 0.5) * r

    def corner(s: Map, t: Map) -> Map:
        beside = site.edge(side * t - cut + lean * s - teeth(s))
        return beside * site.edge(s + 0.55 * head)

    # The ligament that tore the corner off draws it outwards and turns it.
    out, back = stream.uniform(0.38, 0.58) * head, stream.uniform(-0.1, 0.35) * head
    turn = side * stream.uniform(0.0, 0.4)
    u, v = scene.u, scene.v
    s, t = site.local(u, v)
    torn = (u + turn * (t - side * r) + back, v - side * out - turn * s)
    return site.added(((u, v), lambda s, t: 1.0 - corner(s, t)), (torn, corner))


def _dislocation(scene: Scene, stream: Stream) -> Map:
    limb, u, v = scene.limb, scene.u, scene.v
    way = stream.sign()
    main = limb.bones[0]
    held = np.clip(1.0 - (u - limb.joint) / 0.6, 0.0, 1.0)
    shift = way * stream.uniform(0.75, 1.15) * main.end_radius
    slide = stream.uniform(-0.35, 0.1) * main.end_radius
    moved = (u - slide * held, v - shift * held)
    change = np.zeros_like(u)
    for bone in limb.beyond:
        change += bone.attenuation(*moved, scene.trabeculae) - scene.intact(bone)
    # The joint's rim breaks off on the side to which the bones have gone.
    head = main.end_radius
    site = Site(scene, stream, main, main.end - 0.45 * head)
    teeth = site.jagged(0.08)

    def rim(s: Map, t: Map) -> Map:
        beside = site.edge(way * t - 0.45 * head + 0.4 * s - teeth(s))
        return beside * site.edge(s + 0.3 * head)

    out = way * stream.uniform(0.15, 0.3) * head
    chip = (u - 0.1 * head, v - out)
    return change + site.added(((u, v), lambda s, t: 1.0 - rim(s, t)), (chip, rim))


# In the order of their names, those of the published dataset.
_BREAKS = (
    _avulsion, _comminuted, _dislocation, _greenstick, _hairline,
    _impacted, _longitudinal, _oblique, _pathological, _spiral,
)  # fmt: skip
FRACTURE_TYPES = CLASSES


def break_bone(scene: Scene, fracture: str, stream: Stream) -> Map:
    """What the break of the named type adds to the attenuation (and takes away, where negative)."""
    return _BREAKS[FRACTURE_TYPES.index(fracture)](scene, stream)
