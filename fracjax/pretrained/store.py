"""Converted weights on disk: one .npz of a backbone's leaves, with where they came from."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fracjax.errors import DAMAGE, InputError
from fracjax.models.backbone import leaf_name, leaf_shapes
from fracjax.pretrained.names import NameTable, download_hint, published_status
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.npz_file import read_npz

CONVERTER = 1  # raise it when files converted before must not be used any more
_PROVENANCE = "provenance"


@dataclass(frozen=True)
class Provenance:
    """Where converted weights came from."""

    model: str  # the backbone, by its name in `config.model`
    source: str  # name of the Keras file
    sha256: str  # of the Keras file
    converter: int  # version of the conversion
    left_out: tuple[str, ...]  # names of the arrays in the source that were not taken
    # whether the Keras file is the one that Keras publishes, in words
    published: str = "not looked up"


def describe(source: Path, *, model: str, left_out: tuple[str, ...]) -> Provenance:
    """The provenance of weights converted now from the file `source`."""
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        md5 = hashlib.file_digest(file, "md5").hexdigest()  # what Keras publishes
    return Provenance(model, source.name, sha256, CONVERTER, left_out, published_status(model, md5))


def save(path: Path, arrays: dict[str, np.ndarray], provenance: Provenance) -> None:
    """Write a converted file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = np.array(json.dumps(dataclasses.asdict(provenance)))
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **{_PROVENANCE: record}, **arrays)  # pyright: ignore[reportArgumentType]


def check(path: Path, *, model: str) -> Provenance:
    """Where the weights of this backbone came from, their arrays left unread.

    Raises:
      InputError: no such file, a Keras file, another model's weights, or an old conversion.
    """
    if not path.is_file():
        raise InputError(f"no weights at {path}; {download_hint(model, str(path))}")
    if path.suffix in (".h5", ".hdf5", ".keras"):
        raise InputError(
            f"{path} is a Keras file, not a converted one; convert it first: fracjax convert {path}"
        )
    _, provenance = _read(path, arrays=False)
    if provenance.model != model:
        raise InputError(
            f"{path} holds weights of {provenance.model} (from {provenance.source}), but the "
            f"model is {model}; set model.name to {provenance.model}, or give other weights"
        )
    if provenance.converter != CONVERTER:
        raise InputError(
            f"{path} was converted by version {provenance.converter} of the conversion, this is "
            f"version {CONVERTER}; {_convert_again(path)}"
        )
    return provenance


def load(path: Path, *, model: str) -> tuple[dict[str, np.ndarray], Provenance]:
    """Read a converted file; refuses what `check` does, and a damaged one."""
    check(path, model=model)
    return _read(path)


def _read(path: Path, *, arrays: bool = True) -> tuple[dict[str, np.ndarray], Provenance]:
    try:
        found = read_npz(path, lambda name: arrays or name == _PROVENANCE)
        record = json.loads(str(found.pop(_PROVENANCE)))
        return found, Provenance(**{**record, "left_out": tuple(record["left_out"])})
    except DAMAGE as error:
        raise InputError(
            f"{path} is damaged, or was not written by `fracjax convert` ({error}); "
            f"{_convert_again(path)}"
        ) from error


def fill(
    expected: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    table: NameTable,
    *,
    source: str,
    hint: str,
) -> dict[str, np.ndarray]:
    """Float32 arrays for every leaf, by path, whose shape is `expected`, checked from both sides.

    `arrays` have the names of `table`; a leaf without one has the same name there. `source` and
    `hint`, what to do about a bad source, begin and end the message.

    Raises:
      InputError: listing at once every leaf left unfilled, every array left unused, every shape
        that differs, every array with values that are not finite and every constant that
        differs. A half-loaded backbone trains, and looks like a weak model.
    """
    names, swapped = {path: table.names.get(path, path) for path in expected}, table.swapped
    problems = []
    for path, shape in expected.items():
        name = names[path]
        theirs = (*shape[:-2], shape[-1], shape[-2]) if name in swapped else shape
        if name not in arrays:
            problems.append(f"- not in the source: {path} (looked for {name})")
        elif arrays[name].shape != theirs:
            wanted = f", which is {theirs} there" if name in swapped else ""
            problems.append(
                f"! {path}: shape {shape} in the model{wanted}, {arrays[name].shape} in {name}"
            )
        elif bad := int((~np.isfinite(arrays[name])).sum()):
            problems.append(f"! {path}: {bad} values in {name} are not finite")
    problems += _wrong_constants(table, arrays)
    used = {*names.values(), *table.left_out, *table.constants}
    unused = [name for name in arrays if name not in used]
    problems += [f"+ not in the model: {name} {arrays[name].shape}" for name in unused]
    if problems:
        lines = "\n".join([*problems, hint])
        raise InputError(f"{source}: {len(problems)} problems with its weights:\n{lines}")

    def ours(name: str) -> np.ndarray:
        array = np.asarray(arrays[name], np.float32)
        return array.swapaxes(-1, -2) if name in swapped else array

    return {path: ours(name) for path, name in names.items()}


def _wrong_constants(table: NameTable, arrays: Mapping[str, np.ndarray]) -> list[str]:
    problems = []
    for name, allowed in table.constants.items():
        if name not in arrays:
            problems.append(f"- not in the source: {name}, which the model has built in")
            continue
        found = arrays[name].ravel()
        if not any(found.size == len(v) and np.allclose(found, v, rtol=1e-4) for v in allowed):
            expected = " or ".join(str(tuple(round(x, 6) for x in v)) for v in allowed)
            have = tuple(round(float(x), 6) for x in found[:5])
            problems.append(f"! {name}: {have} in the source, {expected} built into the model")
    return problems


def load_into(
    params: dict[str, Any], stats: dict[str, Any], path: Path, *, model: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Replace a backbone's parameters and statistics by converted ones; the head stays.

    Refuses what `load` and `fill` refuse.
    """
    arrays, _ = load(path, model=model)
    leaves = (leaf_shapes(params) | leaf_shapes(stats)).items()
    backbone = {name: shape for name, shape in leaves if name.startswith("backbone/")}
    own_names, hint = NameTable(names={}, left_out=()), f"To mend it, {_convert_again(path)}"
    filled = fill(backbone, arrays, own_names, source=str(path), hint=hint)

    def replaced(tree: dict[str, Any]) -> dict[str, Any]:
        return jax.tree.map_with_path(lambda at, leaf: filled.get(leaf_name(at), leaf), tree)

    return replaced(params), replaced(stats)


def _convert_again(path: Path) -> str:
    return f"convert the Keras file again: fracjax convert FILE.h5 --out {path}"
