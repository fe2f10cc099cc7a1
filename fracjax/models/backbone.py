"""What the classifier, the freezing and the cache ask of every backbone; names of its leaves."""

from typing import Any, ClassVar

import jax
from flax import nnx
from jaxtyping import Array, Float

from fracjax.models.image_spec import ImageSpec

HEAD = "head"  # the place after the last block, where a classifier's head begins


class Backbone(nnx.Module):
    """A model without its head, as a list of named blocks that run one after another.

    A new one is in inference mode; `fracjax.training.freeze.training_view` makes it train. A block
    takes a map and, by name, `rngs`, of which most have no use.
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
        dropped paths, where the network has them and is in training mode.
        """
        for block in self.blocks(start, stop):
            x = block(x, rngs=rngs)
        return x

    def blocks(self, start: str | None = None, stop: str | None = None) -> list[Any]:
        """The blocks from `start` (included) to `stop` (left out); None means the very ends.

        "head" is a place too: the end of the last block. ValueError where no block has that name.
        """
        places = (*self.BLOCKS, HEAD)
        for place in (start, stop):
            if place and place not in places:
                raise ValueError(f"no block {place!r}; the blocks are {', '.join(places)}")
        first = places.index(start) if start else 0
        last = places.index(stop or HEAD)
        return [getattr(self, name) for name in self.BLOCKS[first:last]]


def leaf_name(path: tuple[Any, ...]) -> str:
    """The name of a leaf at a JAX key path, such as "backbone/mixed0/b1x1/conv/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def leaf_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every leaf by name; the leaves may be abstract."""
    return {leaf_name(path): tuple(leaf.shape) for path, leaf in jax.tree.leaves_with_path(tree)}
