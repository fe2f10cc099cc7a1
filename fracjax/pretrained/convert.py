"""A Keras file of ImageNet weights → the converted file that `config.model.weights` names."""

import functools
from pathlib import Path

import numpy as np
from flax import nnx

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.backbone import leaf_shapes
from fracjax.models.build import IMAGES, build
from fracjax.pretrained import keras_h5, store
from fracjax.pretrained.names import TABLES, NameTable


def convert(source: Path, *, model: str, out: Path) -> store.Provenance:
    """Convert the backbone's weights in a Keras file, with or without its top, into `out`.

    Raises:
      InputError: there are no Keras weights of it, the file cannot be read, or it does not fill
        the backbone leaf by leaf, with every problem listed.
    """
    if model not in TABLES:
        raise InputError(
            f"no conversion for {model!r}; there is one for {', '.join(sorted(TABLES))}"
        )
    table = TABLES[model]
    arrays = _by_names_of(table, keras_h5.read(source))
    filled = store.fill(
        backbone_shapes(model),
        arrays,
        table,
        source=str(source),
        hint=f"Give the Keras file of {model}, or name the network of the file with --model.",
    )
    left_out = tuple(name for name in (*table.left_out, *table.constants) if name in arrays)
    provenance = store.describe(source, model=model, left_out=left_out)
    store.save(out, filled, provenance)
    return provenance


def network_of(source: Path) -> str:
    """The backbone that a Keras file is of, recognised by the names of its arrays.

    Raises:
      InputError: the file cannot be read, or has less than half of the names of any backbone.
    """
    arrays = keras_h5.read(source)
    found = {
        model: (len(_by_names_of(table, arrays).keys() & table.names.values()), len(table.names))
        for model, table in TABLES.items()
    }
    best = max(found, key=lambda model: found[model][0] / found[model][1])
    if 2 * found[best][0] < found[best][1]:
        looked_for = "; ".join(
            f"{have} of the {all_} of {model} (such as {next(iter(TABLES[model].names.values()))})"
            for model, (have, all_) in found.items()
        )
        raise InputError(
            f"{source} is of no model that converts: of its {len(arrays)} arrays, looked for "
            f"{looked_for}; give another file, or say with --model what it is to see what it lacks"
        )
    return best


def _by_names_of(table: NameTable, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by the names that `table` has for them."""
    renamed = {}
    for name, array in keras_h5.by_build_order(arrays, table.anonymous).items():
        layer, _, variable = name.rpartition("/")
        renamed[f"{table.renamed.get(layer, layer)}/{variable}"] = array
    return renamed


@functools.cache
def backbone_shapes(model: str) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter and statistic of a backbone, by path."""

    def network():
        image_size = IMAGES[model].side
        return build(Model(name=model), outputs=1, image_size=image_size, rngs=nnx.Rngs(0))  # pyright: ignore[reportArgumentType]

    state = nnx.to_pure_dict(nnx.state(nnx.eval_shape(network)))
    return leaf_shapes({"backbone": state["backbone"]})
