"""Names of the leaves of nested dicts: "backbone/mixed0/b1x1/conv/kernel".

The same names stand in converted weights, in freezing and in what is said of a checkpoint.
"""

from typing import Any

import jax


def leaf_name(path: tuple[Any, ...]) -> str:
    """The name of a leaf at a JAX key path."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def leaf_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every leaf by name; the leaves may be abstract."""
    return {leaf_name(path): tuple(leaf.shape) for path, leaf in jax.tree.leaves_with_path(tree)}
