"""Many steps in one dispatch: the host says from which step to which, the devices do the rest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jax.typing import ArrayLike

from fracjax.loading.resident import batch_at
from fracjax.runtime.sharding import batch_sharding, replicated
from fracjax.training.state import TrainState
from fracjax.training.step import Metrics, Step

Dispatch = Callable[..., tuple[TrainState, Metrics]]


def make_dispatch(
    step: Step, mesh: Mesh, *, networks: int, batch_size: int, looped: bool
) -> Dispatch:
    """Build the program that takes steps of an epoch on resident studies.

    `dispatch(state, total, key, sizes, studies, orders, begin, active, start, stop)` returns the
    state and the figures of the epoch so far. It donates `state`. Of several networks, state,
    figures, keys and step sizes are stacked, networks first.

    - `sizes` (networks, steps): step size of each step of the epoch.
    - `studies`, `orders`: of each network its `Resident` and the order of its epoch.
    - `begin`, `active` (networks,): the step at which each begins, and whether it takes part.
    - `start`, `stop`: steps after `begin`. They are arguments, so that a last chunk that is shorter
      is the same program.

    Args:
      step: the pure step, of one network or of all of them.
      mesh: devices.
      networks: how many.
      batch_size: studies per step and network.
      looped: whether `stop` may be more than one step after `start`. Within a loop, XLA's CPU
        backend computes on a single core; so there it is False (`benchmarks/RESULTS.md`).
    """

    def dispatch(
        state: TrainState,
        total: Metrics,
        key: jax.Array,
        sizes: jax.Array,
        studies: tuple[Any, ...],
        orders: tuple[jax.Array, ...],
        begin: jax.Array,
        active: jax.Array,
        start: ArrayLike,
        stop: ArrayLike,
    ) -> tuple[TrainState, Metrics]:
        def one(number: ArrayLike, so_far: tuple[TrainState, Metrics]):
            state, total = so_far
            batches = [
                batch_at(
                    studies[i],
                    orders[i],
                    number + begin[i],
                    batch_size=batch_size,
                    mesh=mesh,
                    active=active[i],
                )
                for i in range(networks)
            ]
            # An idle network may be asked for a step after its last one.
            rates = [
                sizes[i, jnp.minimum(number + begin[i], sizes.shape[1] - 1)]
                for i in range(networks)
            ]
            batch, rate = stack_trees(batches), stack_trees(rates)
            batch = lax.with_sharding_constraint(
                batch, batch_sharding(mesh, axis=int(networks > 1))
            )
            state, metrics = step(state, batch, key, rate)
            return state, total.merge(metrics)

        if looped:
            return lax.fori_loop(start, stop, one, (state, total))
        return one(start, (state, total))

    return jax.jit(dispatch, donate_argnums=0, out_shardings=replicated(mesh))


def stack_trees(trees: list[Any]) -> Any:
    """The trees of all networks as one, networks first; that of a single one as it is."""
    if len(trees) == 1:
        return trees[0]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack_trees(tree: Any, index: int, networks: int) -> Any:
    """One network's tree of what `stack_trees` put together."""
    return tree if networks == 1 else jax.tree.map(lambda leaf: leaf[index], tree)
