"""A Keras file of ImageNet weights → the converted file that `config.model.weights` names."""

import functools
from pathlib import Path

from flax import nnx

from fracjax.config import Model
from fracjax.errors import UserError
from fracjax.models.build import IMAGES, build
from fracjax.trees import leaf_shapes
from fracjax.weights import inception_v3, keras_h5, store
from fracjax.weights.fill import fill

_TABLES = {"inception_v3": inception_v3}


def convert(source: Path, *, model: str, out: Path) -> store.Provenance:
    """Convert the backbone's weights in a Keras file.

    Args:
      source: a `.weights.h5` of Keras 3 or an `.h5` of older versions, with or without the top.
      model: the network's name in `config.model`.
      out: the file to write.

    Raises:
      UserError: the network has no Keras weights, the file cannot be read, or it does not fill the
        backbone leaf by leaf, with every problem listed.
    """
    if model not in _TABLES:
        raise UserError(
            f"no conversion for {model!r}; there is one for {', '.join(sorted(_TABLES))}"
        )
    table = _TABLES[model]
    arrays = keras_h5.by_build_order(keras_h5.read(source), table.ANONYMOUS)
    filled = fill(
        backbone_shapes(model),
        arrays,
        table.NAMES,
        source=str(source),
        way_out=(
            f"Give the Keras file of {model}, or name the network that the file is of with --model."
        ),
        left_out=table.LEFT_OUT,
    )
    left_out = tuple(name for name in table.LEFT_OUT if name in arrays)
    provenance = store.describe(source, model=model, left_out=left_out)
    store.save(out, filled, provenance)
    return provenance


@functools.cache
def backbone_shapes(model: str) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter and statistic of a backbone, by path."""

    def network():
        image_size = IMAGES[model].side
        return build(Model(name=model), outputs=1, image_size=image_size, rngs=nnx.Rngs(0))  # pyright: ignore[reportArgumentType]

    state = nnx.to_pure_dict(nnx.state(nnx.eval_shape(network)))
    return leaf_shapes({"backbone": state["backbone"]})
