"""A user's own backbone, named as `module:Class`: imported, and checked before it is built."""

import functools
import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from fracjax import ops
from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.backbone import Backbone, ImageSpec
from fracjax.runtime.multihost import is_main

_LAYERS = (nnx.Conv, ops.DepthwiseConv, nnx.Linear, nnx.BatchNorm, nnx.LayerNorm)
_ARGUMENTS = ("image_size", "width", "dropout", "drop_path", "rngs")


def own_backbone(name: str) -> type[Any]:
    """The class that `module:Class` names, in the current folder or among installed packages.

    Raises:
      InputError: it cannot be imported, or is no `Backbone` with all that one has; all is listed.
    """
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as `python -m` does, but behind what is installed
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise InputError(
            f"model.name is {name}, which cannot be imported: {error}; run from the folder that "
            f"holds {module.partition('.')[0]}, or install it"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Backbone)):
        raise InputError(
            f"model.name is {name}, which is no subclass of fracjax.models.backbone.Backbone"
        )
    if problems := list(_problems(found)):
        raise InputError(f"model.name is {name}: {'; '.join(problems)}")
    return found


def source_digest(name: str) -> str:
    """SHA-256 of the file that defines a user's own class; "" of ours, and where there is none."""
    if ":" not in name:
        return ""
    try:
        file = inspect.getsourcefile(own_backbone(name))
    except TypeError:  # made by no file
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


@functools.cache  # a command opens its runs more than once
def note_if_edited(name: str, trained_with: str, workdir: Path) -> None:
    """Say so where the code of a class is another than that which a run was trained with.

    No more than say: a comment may have changed, and arrays that do not fit are refused elsewhere.
    """
    if source_digest(name) != trained_with and is_main():
        print(
            f"note: the file that defines {name} has changed since {workdir} was trained: unless "
            "only comments did, its figures may be those of another network. Restore that file, "
            "or train again into another --workdir",
            file=sys.stderr,
        )


def _problems(found: type[Any]) -> Iterator[str]:
    blocks = getattr(found, "BLOCKS", None)
    if not isinstance(getattr(found, "IMAGE", None), ImageSpec):
        yield "IMAGE is no ImageSpec"
    if not (isinstance(blocks, tuple) and blocks and all(isinstance(b, str) for b in blocks)):
        yield f"BLOCKS is {blocks!r}, not the names of its blocks"
    if not isinstance(getattr(found, "FIRST", None), str):
        yield "FIRST is not the path of the layer that sees the images, such as 'stem/conv'"
    needed = [
        parameter.name
        for parameter in _parameters(found)
        if parameter.default is parameter.empty and parameter.name not in _ARGUMENTS
    ]
    if needed:
        yield f"its __init__ needs {', '.join(needed)}, and is given {', '.join(_ARGUMENTS)} alone"


def _parameters(kind: type[Any]) -> list[inspect.Parameter]:
    """Those of its `__init__` that have names, but for `self`."""
    _, *own = inspect.signature(kind.__init__).parameters.values()
    return [one for one in own if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def arguments(kind: type[Any], model: Model, image_size: int) -> dict[str, Any]:
    """What its `__init__` is given, beside `rngs`: of these those that it takes."""
    given = {"image_size": image_size, "width": model.width}
    given |= {"dropout": model.dropout, "drop_path": model.drop_path}
    taken = {parameter.name for parameter in _parameters(kind)}
    return {name: value for name, value in given.items() if name in taken}


def check_built(kind: type[Any], model: Model, image_size: int) -> None:
    """Build it without its arrays, and refuse blocks that are not there or do not fit."""
    name, spec = model.name, kind.IMAGE
    net = nnx.eval_shape(lambda: kind(**arguments(kind, model, image_size), rngs=nnx.Rngs(0)))
    problems = [
        f"its block {block} is no module of it"
        for block in kind.BLOCKS
        if not isinstance(getattr(net, block, None), nnx.Module)
    ]
    layers = {"/".join(map(str, path)) for path, _ in nnx.iter_modules(net)}
    if kind.FIRST not in layers:
        problems.append(f"FIRST is {kind.FIRST}, and there is no such layer")
    variables = nnx.to_flat_state(nnx.state(net, nnx.Param, nnx.BatchStat, ...)[0])
    outside = {str(path[0]) for path, _ in variables} - {*kind.BLOCKS}
    if outside:
        problems.append(f"parameters of {', '.join(sorted(outside))} are in none of BLOCKS")
    strange = {
        type(layer).__name__
        for _, layer in nnx.iter_modules(net)
        if any(isinstance(value, nnx.Param) for value in vars(layer).values())
        and not isinstance(layer, _LAYERS)
    }
    if strange and model.precision != "float32":
        problems.append(
            f"model.precision is {model.precision}, which is known of Conv, DepthwiseConv, Linear, "
            f"BatchNorm and LayerNorm alone, and it has {', '.join(sorted(strange))}: write float32"
        )
    if jax.tree.leaves(nnx.state(net, nnx.RngState)):
        problems.append("it holds random streams: a block is given `rngs` when it is called")
    if not isinstance(getattr(net, "features", None), int):
        problems.append("`features`, the channels that leave its last block, is no number")
    if model.localise and not net.maps:
        problems.append(
            "model.localise is on, and it names no `maps`: give it a tuple of MapLevel, from fine "
            "to coarse, or write --no-model.localise"
        )
    if not problems:
        images = jax.ShapeDtypeStruct((2, image_size, image_size, spec.channels), jnp.float32)
        try:
            last, maps = nnx.eval_shape(lambda net, x: net.with_maps(x), net, images)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"model.name is {name}, which does not run: {error}") from error
        out = last.shape
        for level, found in zip(net.maps, maps, strict=True):
            cells, (_, *sides, channels) = -(-image_size // level.stride), found.shape
            if channels != level.channels or max(sides) > cells:
                problems.append(
                    f"what enters {level.block} is {found.shape[1:]}, which `maps` has as up to "
                    f"({cells}, {cells}, {level.channels}), with a stride of {level.stride}"
                )
        if out[0] != 2 or len(out) not in (2, 4) or out[-1] != net.features:
            problems.append(
                f"of two images it makes {out}, not (2, {net.features}) or (2, h, w, "
                f"{net.features})"
            )
    if problems:
        raise InputError(f"model.name is {name}: {'; '.join(problems)}")
