"""Which parameters train, and which BatchNorms use the statistics of the batch.

Both follow from two words of the config. The cut of a phase is the first part of the backbone that
trains; what comes before it is below the cut. `freeze.batch_norm` says what becomes of the
BatchNorms:

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
from fracjax.models.backbone import HEAD, Backbone
from fracjax.models.classifier import Classifier
from fracjax.models.param_paths import leaf_name, leaf_shapes

TRAIN = "train"
FREEZE = "freeze"


@dataclass(frozen=True)
class FreezeSpec:
    """What stays as it is.

    Attributes:
      frozen: paths of the parameters that do not train, such as "backbone/stem/conv1/conv/kernel".
      held: paths of the BatchNorms in inference mode, such as "backbone/stem/conv1/norm".
    """

    frozen: frozenset[str]
    held: frozenset[str]


def partition(model: Classifier, cut: str, batch_norm: str) -> FreezeSpec:
    """Work out what is held of `model`, which may be abstract (`nnx.eval_shape`).

    Args:
      model: the network.
      cut: none, a block, an index into Keras's layers, or head; as in `config.phases`.
      batch_norm: all, above_cut or frozen; as in `config.freeze`.

    Raises:
      UserError: the cut is no part of this backbone; the message names the nearest ones.
    """
    is_below = _below(model.backbone, cut)
    norms = _batch_norms(model)
    held = {
        path
        for path in norms
        if batch_norm == "frozen" or (batch_norm == "above_cut" and is_below(path))
    }
    frozen = set()
    for path in _sizes(model, nnx.Param):
        module = path.rpartition("/")[0]
        if module in held or (module not in norms and is_below(module)):
            frozen.add(path)
    return FreezeSpec(frozenset(frozen), frozenset(held))


def labels(params: dict[str, Any], part: FreezeSpec) -> dict[str, Any]:
    """Label every leaf of `params`, nested as `nnx.to_pure_dict` has them, TRAIN or FREEZE.

    Raises:
      ValueError: a frozen path matches no leaf. Left silent, it would train.
    """
    paths = {leaf_name(path) for path, _ in jax.tree.leaves_with_path(params)}
    if part.frozen - paths:
        raise ValueError(
            f"frozen paths match no parameter: {sorted(part.frozen - paths)}; "
            f"the parameters are in {sorted(params)}"
        )
    return jax.tree.map_with_path(
        lambda path, _: FREEZE if leaf_name(path) in part.frozen else TRAIN, params
    )


def partial_updates(
    tx: optax.GradientTransformation, part: FreezeSpec
) -> optax.GradientTransformationExtraArgs:
    """Apply `tx` to trained leaves; give frozen ones a zero update, no moments and no decay."""
    return optax.multi_transform(
        {TRAIN: tx, FREEZE: optax.set_to_zero()}, lambda params: labels(params, part)
    )


def training_view(model: Classifier, part: FreezeSpec) -> Classifier:
    """`model` in training mode, except that held BatchNorms use, and keep, running statistics.

    A view, not `model.train()`: that would flip every BatchNorm back, held or not. Dropout is on
    everywhere, below the cut too, as in Keras.
    """
    modes = {"deterministic": False, "use_running_average": False}
    # A network need not have BatchNorm.
    view = nnx.view(model, raise_if_not_found=False, **modes)
    if not part.held:  # nnx.view raises when `only` selects nothing
        return view
    held = {tuple(path.split("/")) for path in part.held}
    return nnx.view(view, only=lambda path, _: tuple(path) in held, use_running_average=True)


def frozen_prefix(model: Classifier, part: FreezeSpec) -> str | None:
    """The first block that is not constant, as a `start` of the network; "head" if all of them are.

    The blocks before it have no trained parameter, no BatchNorm on batch statistics and no
    dropout, so that their output for a picture never changes and can be kept. None when the very
    first block is not constant.
    """
    backbone = model.backbone
    params, norms = _sizes(backbone, nnx.Param), _batch_norms(backbone)
    frozen = {path.removeprefix("backbone/") for path in part.frozen}
    held = {path.removeprefix("backbone/") for path in part.held}
    for block in backbone.BLOCKS:
        trains = any(_inside(p, block) and p not in frozen for p in params)
        moves = any(_inside(p, block) and p not in held for p in norms)
        draws = any(
            isinstance(module, nnx.Dropout) and module.rate > 0
            for _, module in nnx.iter_modules(getattr(backbone, block))
        )
        if trains or moves or draws:
            return None if block == backbone.BLOCKS[0] else block
    return HEAD


@dataclass(frozen=True)
class Row:
    """One line of the network's table.

    Attributes:
      block: a block of the backbone, "head" or "total".
      parameters: all of its parameters, running statistics included, as Keras counts them.
      trained: those among them that the optimiser changes.
      state: "trained", "frozen" or "part", of what is no running statistic.
      batch_norm: "batch" or "running" statistics, "part" where both occur, "-" without BatchNorm.
    """

    block: str
    parameters: int
    trained: int
    state: str
    batch_norm: str


def table(model: Classifier, part: FreezeSpec) -> list[Row]:
    """One row per block, then the head, then the total; `model` may be abstract."""
    params, stats = _sizes(model, nnx.Param), _sizes(model, nnx.BatchStat)
    norms = _batch_norms(model)

    def row(name: str, where: str) -> Row:
        ours = {path: n for path, n in params.items() if _inside(path, where)}
        total = sum(ours.values())
        trained = sum(n for path, n in ours.items() if path not in part.frozen)
        inside = [path for path in norms if _inside(path, where)]
        running = sum(path in part.held for path in inside)
        return Row(
            block=name,
            parameters=total + sum(n for path, n in stats.items() if _inside(path, where)),
            trained=trained,
            state=_of(trained, total, "frozen", "trained"),
            batch_norm=_of(running, len(inside), "batch", "running") if inside else "-",
        )

    blocks = [row(name, f"backbone/{name}") for name in model.backbone.BLOCKS]
    return [*blocks, row("head", "head"), row("total", "")]


def _of(count: int, total: int, nothing: str, everything: str) -> str:
    return nothing if count == 0 else everything if count == total else "part"


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
        place = {path: index for index, path in enumerate(layers) if path}
        return lambda path: (
            _inside(path, "backbone") and (place[path.removeprefix("backbone/")] < int(cut))
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
    return lambda path: _inside(path, "backbone") and blocks.index(path.split("/")[1]) < first


def _inside(path: str, where: str) -> bool:
    return not where or path == where or path.startswith(where + "/")


def _sizes(module: nnx.Module, kind: type[nnx.Variable]) -> dict[str, int]:
    shapes = leaf_shapes(nnx.to_pure_dict(nnx.state(module, kind)))
    return {name: math.prod(shape) for name, shape in shapes.items()}


def _batch_norms(module: nnx.Module) -> set[str]:
    return {
        "/".join(map(str, path))
        for path, node in nnx.iter_modules(module)
        if isinstance(node, nnx.BatchNorm)
    }
