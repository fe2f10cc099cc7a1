"""What the classifier, the freezing and the cache ask of every backbone; names of its leaves."""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from fracjax.errors import InputError

HEAD = "head"  # the place after the last block, where a classifier's head begins


@dataclass(frozen=True)
class ImageSpec:
    """Size and value range of a backbone's input."""

    side: int  # the side, in pixels, at which the weights were trained
    channels: int  # colour channels; a grey radiograph is repeated over them
    low: float  # the value that black must have
    high: float  # and white
    smallest: int  # the smallest side, in pixels, that the strides leave a map of

    def normalise(
        self, image: UInt8[Array, "*b h w c"] | Float[Array, "*b h w c"]
    ) -> Float[Array, "*b h w d"]:
        """Map values in [0, 255] to `channels` planes in [low, high]; grey ones are equal."""
        scaled = image.astype(jnp.float32) * ((self.high - self.low) / 255.0) + self.low
        return jnp.broadcast_to(scaled, (*image.shape[:-1], self.channels))

    def check(self, images: Array | np.ndarray) -> None:
        """Refuse images, (b, h, w, c), that are plainly not what the model takes: InputError.

        A model that is fed another range than the one it was trained on runs, and looks like a weak
        one. Besides values outside, batches are refused that lie inside but have the marks of
        another range: no value above 1 where white is 255, none below 0 where black is -1.
        """
        problems = []
        if images.ndim != 4 or images.shape[-1] != self.channels:
            problems.append(f"their shape is {images.shape}, not (b, h, w, {self.channels})")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            problems.append(f"they are {images.dtype}, not float")
        elif images.size:
            problems += self._wrong_values(float(images.min()), float(images.max()))
        if problems:
            raise InputError(
                f"these images are not what the model takes: {'; '.join(problems)}. Write "
                "image.normalise(images), with uint8 images of shape (b, h, w, 1) and the `image` "
                "of the model"
            )

    def _wrong_values(self, found_low: float, found_high: float) -> list[str]:
        found = (
            f"their values go from {found_low:g} to {found_high:g}, and should be in "
            f"[{self.low:g}, {self.high:g}]"
        )
        if not np.isfinite([found_low, found_high]).all():  # a NaN shows in both, an inf in one
            return [f"some of their values are not finite: {found}"]
        tolerance = 1e-3 * (self.high - self.low)
        if found_low < self.low - tolerance or found_high > self.high + tolerance:
            return [found]
        if self.high > 1.0 and 0.0 < found_high <= 1.0:
            return [f"{found}: this looks like [0, 1]"]
        if self.low < 0.0 <= found_low <= 0.05 * self.high and found_high > 0.0:
            return [f"{found}: without any below 0, this looks like [0, {self.high:g}]"]
        return []


class MapLevel(NamedTuple):
    """A map within a backbone that a feature pyramid takes: what enters `block`, or "head"."""

    block: str
    stride: int  # pixels of the image for each of its cells
    channels: int


class Backbone(nnx.Module):
    """A model without its head, as a list of named blocks that run one after another.

    A new one is in inference mode; `training.freeze.training_view` makes it train. A block takes a
    map and, by name, `rngs`, of which most have no use.
    """

    IMAGE: ClassVar[ImageSpec]  # the images it takes
    # names of its blocks, which are also attributes, in running order
    BLOCKS: ClassVar[tuple[str, ...]]
    # one entry per layer of the Keras network, in the order of `model.layers`: the path of our
    # module that holds its parameters ("mixed9/b1x1/conv"), or "" if it has none. Empty when no
    # Keras network sets the numbering.
    KERAS_LAYERS: ClassVar[tuple[str, ...]] = ()
    FIRST: ClassVar[str]  # path of the layer that sees the images
    # the block, or "head", that class activation maps are made of: what enters it is the last thing
    # in the network that still has a grid.
    MAP_BEFORE: ClassVar[str] = HEAD
    # what `model.localise` makes its map of, from fine to coarse, in running order. A backbone
    # without any cannot localise.
    maps: tuple[MapLevel, ...] = ()
    features: int  # channels that leave the last block

    def __call__(
        self,
        x: Float[Array, "b *map"],
        *,
        start: str | None = None,
        stop: str | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b *out"]:
        """What enters block `stop`, from images in the range of `IMAGE` or what enters `start`.

        By default it is the features or the map that leave the last block. `rngs` draws dropout and
        dropped paths in training mode.
        """
        for block in self.blocks(start, stop):
            x = block(x, rngs=rngs)
        return x

    def with_maps(
        self, x: Float[Array, "b *map"], *, start: str | None = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "b *out"], list[Float[Array, "b *_"]]]:
        """What leaves the last block, and the `maps` on the way; none if one lies before `start`.

        Tokens come as the map of their patches, without the class token.
        """
        places, taken = (*self.BLOCKS, HEAD), []
        levels = self.maps
        if start and levels and places.index(levels[0].block) < places.index(start):
            levels = ()
        for level in levels:
            x = self(x, start=start, stop=level.block, rngs=rngs)
            taken.append(as_map(x))
            start = level.block
        return self(x, start=start, rngs=rngs), taken

    def blocks(self, start: str | None = None, stop: str | None = None) -> list[Any]:
        """The blocks from `start` (included) to `stop` (left out), which may be "head"."""
        places = (*self.BLOCKS, HEAD)
        for place in (start, stop):
            if place and place not in places:
                raise ValueError(f"no block {place!r}; the blocks are {', '.join(places)}")
        first = places.index(start) if start else 0
        last = places.index(stop or HEAD)
        return [getattr(self, name) for name in self.BLOCKS[first:last]]


def as_map(x: Float[Array, "b h w c"] | Float[Array, "b n f"]) -> Float[Array, "b h w c"]:
    """Maps as they are; tokens on the square grid of their patches, without the class token."""
    if x.ndim == 4:
        return x
    side = round((x.shape[1] - 1) ** 0.5)
    return x[:, 1:].reshape(x.shape[0], side, side, x.shape[2])


def leaf_name(path: tuple[Any, ...]) -> str:
    """The name of a leaf at a JAX key path, such as "backbone/mixed0/b1x1/conv/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def leaf_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every leaf by name; the leaves may be abstract."""
    return {leaf_name(path): tuple(leaf.shape) for path, leaf in jax.tree.leaves_with_path(tree)}


def digest(tree: Any) -> str:
    """SHA-256 over name, type, shape and values of every leaf, in the order of their names."""
    leaves = {leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}
    made = hashlib.sha256()
    for name, leaf in sorted(leaves.items()):
        made.update(f"{name} {leaf.dtype} {leaf.shape}\n".encode())
        made.update(leaf.tobytes())
    return made.hexdigest()
