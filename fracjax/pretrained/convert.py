"""A Keras file of ImageNet weights → the converted file that `config.model.weights` names."""

import dataclasses
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


def convert(
    source: Path, *, model: str, out: Path, leave_out_head: bool = False
) -> store.Provenance:
    """Convert the backbone's weights in a Keras file, with or without its top, into `out`.

    `leave_out_head` leaves out dense layers and norms that a user put on top; what is left out is
    named in the provenance.

    Raises:
      InputError: there are no Keras weights of it, the file cannot be read, or it does not fill
        the backbone leaf by leaf, with every problem listed.
    """
    if model not in TABLES:
        raise InputError(
            f"no conversion for {model!r}; there is one for {', '.join(sorted(TABLES))}"
        )
    table = TABLES[model]
    arrays = _arrays_of(table, keras_h5.read(source))
    head = _head(table, arrays)
    hint = f"Give the Keras file of {model}, or name the network of the file with --model."
    if leave_out_head:
        table = dataclasses.replace(table, left_out=(*table.left_out, *head))
        hint += " --leave-out-head leaves out dense layers and norms behind the backbone only."
    elif head:
        layers = ", ".join(dict.fromkeys(name.rpartition("/")[0] for name in head))
        hint += f" If {layers} are your own head, leave them out with --leave-out-head."
    shapes = backbone_shapes(model)
    filled = store.fill(shapes, arrays, table, source=str(source), hint=hint)
    left_out = tuple(name for name in (*table.left_out, *table.constants) if name in arrays)
    provenance = store.describe(source, model=model, left_out=left_out)
    store.save(out, filled, provenance)
    return provenance


def network_of(source: Path) -> str:
    """The backbone that a Keras file is of, recognised by the names of its arrays.

    Raises:
      InputError: the file cannot be read, or has less than half of the names of any backbone.
    """
    networks = keras_h5.read(source)
    found = {
        model: (len(_arrays_of(table, networks).keys() & table.names.values()), len(table.names))
        for model, table in TABLES.items()
    }
    best = max(found, key=lambda model: found[model][0] / found[model][1])
    if 2 * found[best][0] < found[best][1]:
        looked_for = "; ".join(
            f"{have} of the {all_} of {model} (such as {next(iter(TABLES[model].names.values()))})"
            for model, (have, all_) in found.items()
        )
        raise InputError(
            f"{source} is of no model that converts: of its {sum(map(len, networks.values()))} "
            f"arrays, looked for {looked_for}; give another file, or say with --model what it is "
            "to see what it lacks"
        )
    return best


def _arrays_of(
    table: NameTable, networks: dict[str, dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """All arrays, those of the network that holds the backbone by the names that `table` has."""
    known = {network: _by_names_of(table, arrays) for network, arrays in networks.items()}
    best = max(known, key=lambda network: len(known[network].keys() & table.names.values()))
    found = known.pop(best)
    layers = {name.rpartition("/")[0] for name in found}
    for network in known:  # by their own names: numbers go on from one network to the next
        for name, array in networks[network].items():
            is_taken = name.rpartition("/")[0] in layers
            found[f"{network or 'outside'}: {name}" if is_taken else name] = array
    return found


def _head(table: NameTable, arrays: dict[str, np.ndarray]) -> list[str]:
    """Arrays of the layers, unknown to `table`, that can only be of a head: dense ones, and norms.

    What may stand before the backbone is none: a convolution, or a norm of the images' channels.
    """
    known = {*table.names.values(), *table.left_out, *table.constants}
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, variable = name.rpartition("/")
        layers.setdefault(layer, {})[variable] = array

    def is_head(own: dict[str, np.ndarray]) -> bool:
        if own.keys() <= {"kernel", "bias"}:
            return "kernel" in own and own["kernel"].ndim == 2
        sizes = {array.shape for array in own.values()}
        return own.keys() <= set(keras_h5.BATCH_NORM) and not sizes & {(1,), (3,)}

    return [
        f"{layer}/{variable}"
        for layer, own in layers.items()
        if is_head(own) and not any(f"{layer}/{variable}" in known for variable in own)
        for variable in own
    ]


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
