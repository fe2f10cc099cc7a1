"""The two-sided check: every parameter filled once, every array used or left out by name."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fracjax.errors import InputError


def fill(
    expected: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    *,
    source: str,
    way_out: str,
    left_out: Collection[str] = (),
    swapped: Collection[str] = (),
    constants: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> dict[str, np.ndarray]:
    """Pick, rename and check arrays so that every expected leaf is filled exactly once.

    Args:
      expected: shape of every leaf of the model, by its path.
      arrays: what the source holds, by its own names.
      names: the source's name of every leaf.
      source: what the arrays came from, for the message.
      way_out: what to do about a bad source, the last sentence of the message.
      left_out: names of arrays in the source that the model has no use for.
      swapped: names of arrays whose last two axes are the other way round in the model.
      constants: names of arrays that are built into the model, with the values they may have.

    Returns:
      Float32 arrays by the model's paths, in the order of `expected`.

    Raises:
      UserError: listing at once every leaf left unfilled, every array left unused, every shape
        that differs, every array with values that are not finite and every constant that
        differs. A half-loaded backbone trains, and looks like a weak model.
    """
    constants = constants or {}
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
        elif not np.isfinite(arrays[name]).all():
            bad = np.size(arrays[name]) - np.isfinite(arrays[name]).sum()
            problems.append(f"! {path}: {bad} values in {name} are not finite")
    problems += _wrong_constants(constants, arrays)
    used = {names.get(path, path) for path in expected} | {*left_out, *constants}
    problems += [
        f"+ not in the model: {name} {arrays[name].shape}" for name in arrays if name not in used
    ]
    if problems:
        raise InputError(
            f"{source}: {len(problems)} problems with its weights:\n"
            + "\n".join(problems)
            + f"\n{way_out}"
        )

    def ours(name: str) -> np.ndarray:
        array = np.asarray(arrays[name], np.float32)
        return array.swapaxes(-1, -2) if name in swapped else array

    return {path: ours(names.get(path, path)) for path in expected}


def _wrong_constants(
    constants: Mapping[str, Sequence[Sequence[float]]], arrays: Mapping[str, np.ndarray]
) -> list[str]:
    problems = []
    for name, allowed in constants.items():
        if name not in arrays:
            problems.append(f"- not in the source: {name}, which the model has built in")
            continue
        found = arrays[name].ravel()
        if not any(found.size == len(v) and np.allclose(found, v, rtol=1e-4) for v in allowed):
            expected = " or ".join(str(tuple(round(x, 6) for x in v)) for v in allowed)
            have = tuple(round(float(x), 6) for x in found[:5])
            problems.append(f"! {name}: {have} in the source, {expected} built into the model")
    return problems
