"""Which parameters train, and which BatchNorms use the statistics of the batch.

The cut of a phase is the first part of the backbone that trains; what comes before it is below the
cut. `freeze.batch_norm` says what becomes of the BatchNorms:

  all        their offset and scale train everywhere, and they use batch statistics everywhere, also
             below the cut (the paper, sections 6.2 and 6.3)
  above_cut  those below the cut are held
  frozen     all of them are held

A held BatchNorm is in inference mode: its parameters and its statistics stay as they are, as with
Keras's `layer.trainable = False`.
"""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import optax
from flax import nnx

from fracjax.errors import InputError
from fracjax.models.backbone import HEAD, Backbone, leaf_name, leaf_shapes
from fracjax.models.classifier import Classifier

TRAIN, FREEZE = "train", "freeze"


@dataclass(frozen=True)
class FreezeSpec:
    """What stays as it is."""

    # paths of the parameters that do not train, such as "backbone/stem/conv1/conv/kernel".
    frozen: frozenset[str]
    # paths of the BatchNorms in inference mode, such as "backbone/stem/conv1/norm".
    held: frozenset[str]


def partition(model: Classifier, cut: str, batch_norm: str) -> FreezeSpec:
    """What is held of `model`, which may be abstract, by a phase's cut and `freeze.batch_norm`.

    Raises:
      InputError: the cut is no part of this backbone; the message names the nearest ones.
    """
    is_below, norms = _below(model.backbone, cut), batch_norms(model)
    held = {
        path
        for path in norms
        if batch_norm == "frozen" or (batch_norm == "above_cut" and is_below(path))
    }
    frozen = {
        path
        for path in sizes(model, nnx.Param)
        if (module := path.rpartition("/")[0]) in held or (module not in norms and is_below(module))
    }
    return FreezeSpec(frozenset(frozen), frozenset(held))


def labels(params: dict[str, Any], spec: FreezeSpec) -> dict[str, Any]:
    """Label every leaf of `params`, nested dicts, TRAIN or FREEZE.

    Raises:
      ValueError: a frozen path matches no leaf. Left silent, it would train.
    """
    if unknown := spec.frozen - leaf_shapes(params).keys():
        raise ValueError(
            f"frozen paths match no parameter: {sorted(unknown)}; "
            f"the parameters are in {sorted(params)}"
        )
    return jax.tree.map_with_path(
        lambda path, _: FREEZE if leaf_name(path) in spec.frozen else TRAIN, params
    )


def partial_updates(
    tx: optax.GradientTransformation, spec: FreezeSpec
) -> optax.GradientTransformationExtraArgs:
    """Apply `tx` to trained leaves; give frozen ones a zero update, no moments and no decay.

    Of frozen leaves `tx` sees nothing, so that a norm in it is one of the trained ones.
    """
    return optax.multi_transform(
        {TRAIN: tx, FREEZE: optax.set_to_zero()}, lambda params: labels(params, spec)
    )


def training_view(model: Classifier, spec: FreezeSpec) -> Classifier:
    """`model` in training mode, except that held BatchNorms use, and keep, running statistics.

    A view, not `model.train()`: that would flip every BatchNorm back, held or not. Dropout is on
    everywhere, below the cut too, as in Keras.
    """
    modes = {"deterministic": False, "use_running_average": False}
    view = nnx.view(model, raise_if_not_found=False, **modes)  # of BatchNorm there may be none
    if not spec.held:  # nnx.view raises when `only` selects nothing
        return view
    held = {tuple(path.split("/")) for path in spec.held}
    return nnx.view(view, only=lambda path, _: tuple(path) in held, use_running_average=True)


def frozen_prefix(model: Classifier, spec: FreezeSpec) -> str | None:
    """The first block that is not constant, as a `start` of the network; "head" if all of them are.

    The blocks before it have no trained parameter, no BatchNorm on batch statistics and no dropout,
    so that their output for an image can be kept. None when the very first block is not constant.
    """
    changing = (sizes(model, nnx.Param).keys() - spec.frozen) | (batch_norms(model) - spec.held)
    changing |= {
        "/".join(map(str, path))
        for path, module in nnx.iter_modules(model)
        if isinstance(module, nnx.Dropout) and module.rate > 0
    }
    blocks = model.backbone.BLOCKS
    for block in blocks:
        if any(is_inside(path, f"backbone/{block}") for path in changing):
            return None if block == blocks[0] else block
    return HEAD


def _below(backbone: Backbone, cut: str) -> Callable[[str], bool]:
    """Turn `cut` into a test of module paths such as "backbone/mixed0/b1x1/conv"."""
    blocks, layers = backbone.BLOCKS, backbone.KERAS_LAYERS
    valid = ("none", *blocks, HEAD)
    if re.fullmatch(r"-?\d+", cut) and layers:
        if not 0 <= int(cut) < len(layers):
            raise InputError(
                f"the cut is {cut}, but Keras's layers of this network go from 0 to "
                f"{len(layers) - 1}; write one of them, or head to freeze them all"
            )
        position = {path: index for index, path in enumerate(layers) if path}
        return lambda path: (
            is_inside(path, "backbone") and position[path.removeprefix("backbone/")] < int(cut)
        )
    if cut not in valid:
        near = difflib.get_close_matches(cut, valid, 3, cutoff=0.5)
        hint = f"perhaps you meant {' or '.join(near)}; " if near else ""
        numbers = f", or a Keras layer index from 0 to {len(layers) - 1}" if layers else ""
        raise InputError(
            f"the cut is {cut!r}, which this network does not have; {hint}"
            f"it is one of {', '.join(valid)}{numbers}"
        )
    first = valid.index(cut) - 1  # index of the first block that trains
    return lambda path: is_inside(path, "backbone") and blocks.index(path.split("/")[1]) < first


def is_inside(path: str, where: str) -> bool:
    """Whether a path is that of a module or lies in it; all lie in ""."""
    return not where or path == where or path.startswith(where + "/")


def sizes(module: nnx.Module, kind: type[nnx.Variable]) -> dict[str, int]:
    """Elements of each variable of a kind, by path."""
    shapes = leaf_shapes(nnx.to_pure_dict(nnx.state(module, kind)))
    return {name: math.prod(shape) for name, shape in shapes.items()}


def batch_norms(module: nnx.Module) -> set[str]:
    """Paths of the BatchNorms."""
    return {
        "/".join(map(str, path))
        for path, node in nnx.iter_modules(module)
        if isinstance(node, nnx.BatchNorm)
    }
