"""The changes that a config asks for, composed and applied to a batch.

The composition is that of section 7.2's "multi_augment_generator": one of the colour operations
or none, then the five changes made for radiographs, and between and after them those that the paper
has not. The four geometric ones are one warp, so that an image is interpolated once.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from fracjax.augment import colour, erasing, geometry
from fracjax.augment.histogram import Image
from fracjax.config import Augment
from fracjax.ops.backend import on_cpu

_MOVE, _ARRANGE = 1, 3  # the stages that move pixels


def augment(
    key: Key[Array, ""],
    images: UInt8[Array, "b h w c"],
    policy: Augment,
    index: Int[Array, " b"] | None = None,
) -> Float[Array, "b h w c2"]:
    """Change every image by its own draw; values stay in [0, 255].

    A strength of zero is left out of the program, so an empty policy is the identity, exactly. A
    colour map makes three channels. Each image draws by the key of the batch and its `index`, by
    default its place: examples that are cut into batches in another way draw the same by theirs.
    """
    return augment_with_masks(key, images, images[..., :0], policy, index)[0]


def augment_with_masks(
    key: Key[Array, ""],
    images: UInt8[Array, "b h w c"],
    masks: UInt8[Array, "b h w m"],
    policy: Augment,
    index: Int[Array, " b"] | None = None,
) -> tuple[Float[Array, "b h w c2"], Float[Array, "b h w m"]]:
    """As `augment`, and what marks places of the images, in [0, 255], moved as they are.

    A mask is warped as one more channel of its image. Nothing else of it changes, nor is it erased:
    what lies beneath a rectangle is still there.
    """

    def recolour(key: Key[Array, ""], image: Image) -> Float[Array, "h w c2"]:
        return colour.random_operation(key, image, policy.colours)

    def move(key: Key[Array, ""], image: Image) -> Image:
        return geometry.warp(image, geometry.draw_affine(key, policy))

    def apply_intensity(key: Key[Array, ""], image: Image) -> Image:
        for drawn, (change, strength) in zip(jax.random.split(key, 3), intensities, strict=True):
            if strength:
                image = change(drawn, image, strength)
        return image

    intensities = (
        (colour.brightness, policy.brightness),
        (colour.contrast, policy.contrast),
        (colour.noise, policy.noise),
    )
    moved = bool(policy.flip or policy.rotation or policy.zoom or policy.translation)
    # The number is that of a stage's draws: they stay what they are when a stage comes between.
    stages = (
        (0, recolour, bool(policy.colours)),
        (_MOVE, move, moved),
        (_ARRANGE, geometry.random_arrangement, policy.dihedral),
        (4, partial(colour.exposure, strength=policy.gamma), bool(policy.gamma)),
        (2, apply_intensity, any(strength for _, strength in intensities)),
        (5, partial(erasing.erase, fraction=policy.erase), bool(policy.erase)),
    )
    out, marks = images.astype(jnp.float32), masks.astype(jnp.float32)
    index = jnp.arange(len(images)) if index is None else index
    for stage, change, wanted in stages:
        if wanted:
            moves = stage in (_MOVE, _ARRANGE) and marks.shape[-1]
            if moves:
                out = jnp.concatenate([out, marks], axis=-1)
            of_stage = jax.random.fold_in(key, stage)
            keys = jax.vmap(partial(jax.random.fold_in, of_stage))(index)
            if one_by_one():
                out = jax.lax.map(lambda both, change=change: change(*both), (keys, out))
            else:
                out = jax.vmap(change)(keys, out)
            if moves:
                out, marks = jnp.split(out, [out.shape[-1] - marks.shape[-1]], axis=-1)
    return out, marks


def one_by_one() -> bool:
    """Whether one image comes after the other: on a single CPU; other devices take them all.

    Of a choice a CPU then computes only what was chosen, and it ends one stage of a policy before
    the next begins; fused with it, each pixel would be computed several times. Of a batch that is
    split over several devices, a loop would first gather all images on each. The images are the
    same either way.
    """
    return on_cpu() and jax.device_count() == 1
