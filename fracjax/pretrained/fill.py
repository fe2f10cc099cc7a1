"""The two-sided check: every parameter filled once, every array used or left out by name."""

from collections.abc import Mapping

import numpy as np

from fracjax.errors import InputError
from fracjax.pretrained.names import NameTable


def fill(
    expected: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    table: NameTable,
    *,
    source: str,
    hint: str,
) -> dict[str, np.ndarray]:
    """Float32 arrays for every leaf that is `expected` by path and shape, each filled exactly once.

    Args:
      expected: shape of every leaf of the model, by its path.
      arrays: what the source holds, by its own names.
      table: the source's names; a leaf without one has the same name there.
      source: what the arrays came from, for the message.
      hint: what to do about a bad source, the last sentence of the message.

    Raises:
      InputError: listing at once every leaf left unfilled, every array left unused, every shape
        that differs, every array with values that are not finite and every constant that
        differs. A half-loaded backbone trains, and looks like a weak model.
    """
    names, swapped = table.names, table.swapped
    problems = []
    for path, shape in expected.items():
        name = names.get(path, path)
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
    used = {names.get(path, path) for path in expected} | {*table.left_out, *table.constants}
    unused = [name for name in arrays if name not in used]
    problems += [f"+ not in the model: {name} {arrays[name].shape}" for name in unused]
    if problems:
        lines = "\n".join([*problems, hint])
        raise InputError(f"{source}: {len(problems)} problems with its weights:\n{lines}")

    def ours(name: str) -> np.ndarray:
        array = np.asarray(arrays[name], np.float32)
        return array.swapaxes(-1, -2) if name in swapped else array

    return {path: ours(names.get(path, path)) for path in expected}


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
