"""The two-sided check: every parameter filled once, every array used or left out by name."""

from collections.abc import Collection, Mapping

import numpy as np

from fracjax.errors import UserError


def fill(
    expected: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    *,
    source: str,
    way_out: str,
    left_out: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Pick, rename and check arrays so that every expected leaf is filled exactly once.

    Args:
      expected: shape of every leaf of the model, by its path.
      arrays: what the source holds, by its own names.
      names: the source's name of every leaf.
      source: what the arrays came from, for the message.
      way_out: what to do about a bad source, the last sentence of the message.
      left_out: names of arrays in the source that the model has no use for.

    Returns:
      Float32 arrays by the model's paths, in the order of `expected`.

    Raises:
      UserError: listing at once every leaf left unfilled, every array left unused, every shape
        that differs and every array with values that are not finite. A half-loaded backbone
        trains, and looks like a weak model.
    """
    problems = []
    for path, shape in expected.items():
        name = names.get(path, path)
        if name not in arrays:
            problems.append(f"- not in the source: {path} (looked for {name})")
        elif arrays[name].shape != shape:
            problems.append(f"! {path}: shape {shape} in the model, {arrays[name].shape} in {name}")
        elif not np.isfinite(arrays[name]).all():
            bad = np.size(arrays[name]) - np.isfinite(arrays[name]).sum()
            problems.append(f"! {path}: {bad} values in {name} are not finite")
    used = {names.get(path, path) for path in expected} | set(left_out)
    problems += [
        f"+ not in the model: {name} {arrays[name].shape}" for name in arrays if name not in used
    ]
    if problems:
        raise UserError(
            f"{source}: {len(problems)} problems with its weights:\n"
            + "\n".join(problems)
            + f"\n{way_out}"
        )
    return {path: np.asarray(arrays[names.get(path, path)], np.float32) for path in expected}
