"""The epochs of a run: all of its networks step by step, in one program.

Networks need not be at the same epoch: one may have stopped, or been saved further than another
when the run was killed. Whoever has nothing to do stands idle in the program, which has one shape.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from fracjax.pipeline.stream import Batch
from fracjax.sharding import by_study, replicated
from fracjax.training.member import Member
from fracjax.training.predict import make_forward
from fracjax.training.progress import Bar, progress_bar
from fracjax.training.step import Metrics, Recipe, Step, make_joint_step, make_train_step


def run_epochs(members: list[Member], mesh: Mesh, console: Console) -> None:
    """Train until no network has an epoch left; each is validated and saved after each epoch.

    Raises:
      UserError: a loss is not finite.
    """
    first = members[0]
    start = first.start
    forward = make_forward(first.network.model, image=first.network.image, mesh=mesh, start=start)
    step: Step | None = None
    compiled = None
    epochs = sum(phase.epochs for phase in first.config.phases)
    with progress_bar(
        console,
        steps=epochs * max(member.steps for member in members),
        done=min(member.meta.epoch for member in members) * max(m.steps for m in members),
        batch_size=first.config.data.batch_size * len(members),
    ) as bar:
        while ahead := [(place.phase, m) for m in members if (place := m.place) is not None]:
            # All of a phase before any of the next: a phase is a program of its own.
            phase = min(number for number, _ in ahead)
            active = [member for number, member in ahead if number == phase]
            if step is None or phase != compiled:
                step, compiled = _make_step(members, phase, mesh), phase
            bar.epoch(min(member.meta.epoch for member in active) + 1, epochs)
            trained = _epoch(members, active, phase, step, mesh, bar)
            for member, (state, figures) in zip(active, trained, strict=True):
                line = member.finish_epoch(state, figures, forward)
                bar.note(line if len(members) == 1 else f"{member.config.workdir.name}  {line}")


def _make_step(members: list[Member], phase: int, mesh: Mesh) -> Step:
    one = members[0]
    recipe = Recipe(
        view=one.network.training_view(phase),
        tx=one.network.optimizer(phase),
        image=one.network.image,
        policy=one.config.augment,
        loss=one.config.loss,
        start=one.start,
    )
    return make_train_step(recipe, mesh) if len(members) == 1 else make_joint_step(recipe, mesh)


def _epoch(
    members: list[Member], active: list[Member], phase: int, step: Step, mesh: Mesh, bar: Bar
) -> list[tuple[Any, dict[str, float]]]:
    """One epoch of the active networks: their new states and their figures."""
    for member in active:
        member.enter(phase)
    streams = {id(member): member.batches() for member in active}
    sizes = {id(member): member.step_sizes() for member in active}
    # A stand-in for an idle network: its own state may be that of another phase.
    state = _stack([(m if m in active else active[0]).state for m in members])
    state = jax.device_put(state, replicated(mesh))
    key = _stack([member.key for member in members])
    total, pending = None, None
    last: Batch | None = None
    for number in range(max(member.steps for member in active)):
        batches = [next(streams[id(m)], None) if m in active else None for m in members]
        last = next(batch for batch in (*batches, last) if batch is not None)
        batch = _stack([_idle(last) if one is None else one for one in batches])
        rates = [_at(sizes[id(m)], number) if m in active else np.float32(0) for m in members]
        placed = jax.device_put(batch, by_study(mesh, axis=0 if len(members) == 1 else 1))
        state, metrics = step(state, placed, key, _stack(rates))
        total = metrics if total is None else total.merge(metrics)
        # The figures of the step before: asking for this one's would stall the device.
        if pending is not None:
            _report(pending, members, active, bar)
        pending = metrics
    assert total is not None, "an epoch has one batch at least"
    _report(pending, members, active, bar)
    out = []
    for i, member in enumerate(members):
        if member in active:
            figures = _unstack(total, i, len(members)).compute()
            own = _unstack(state, i, len(members))
            out.append((own, {name: float(value) for name, value in figures.items()}))
    return out


def _report(metrics: Metrics | None, members: list[Member], active: list[Member], bar: Bar) -> None:
    assert metrics is not None
    loss = np.atleast_1d(np.asarray(metrics.loss.total))
    count = np.atleast_1d(np.asarray(metrics.loss.count))
    for member, total, n in zip(members, loss, count, strict=True):
        if member in active and n and not math.isfinite(total):
            member.refuse(f"loss in epoch {member.meta.epoch + 1}", float(total))
    bar.step(float(loss[count > 0].sum() / count.sum()))


def _stack(trees: Sequence[Any]) -> Any:
    """The trees of all networks as one, networks first; that of a single one as it is."""
    if len(trees) == 1:
        return trees[0]
    host = all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(trees[0]))
    return jax.tree.map(lambda *leaves: (np if host else jnp).stack(leaves), *trees)


def _unstack(tree: Any, index: int, count: int) -> Any:
    return tree if count == 1 else jax.tree.map(lambda leaf: leaf[index], tree)


def _idle(like: Batch) -> Batch:
    return {**like, "valid": np.zeros_like(like["valid"])}


def _at(sizes: np.ndarray, number: int) -> np.float32:
    return sizes[min(number, len(sizes) - 1)]
