"""Keys of a run: one named stream for each use, so that no two draws share a key.

A stream is folded from the root key of a seed by its name, and its user folds in what tells the
draws apart: the epoch, the step, the view, the example. Two networks have different seeds, and so
different roots.
"""

import zlib
from typing import Literal

import jax
import numpy as np
from jax.typing import ArrayLike

Stream = Literal["init", "subset", "order", "augment", "mix", "dropout", "views", "cache"]
"""Initial parameters; the subset of the data; the order of an epoch; augmentation, mixed pairs and
dropout of a step; views at test time; cached views."""


def root(seed: ArrayLike) -> jax.Array:
    """The key of a run; draw nothing by it, only by its streams."""
    return jax.random.key(seed)


def stream(seed: ArrayLike | jax.Array, name: Stream) -> jax.Array:
    """The key of one use of randomness, from the seed of the run, traced or not, or its root."""
    is_key = isinstance(seed, jax.Array) and jax.dtypes.issubdtype(seed.dtype, jax.dtypes.prng_key)
    return jax.random.fold_in(seed if is_key else root(seed), zlib.crc32(name.encode()))


def numpy_generator(key: jax.Array) -> np.random.Generator:
    """A generator on the host that draws by a key."""
    words = np.asarray(jax.random.key_data(key)).astype(np.uint64)
    return np.random.Generator(np.random.Philox(key=words))
