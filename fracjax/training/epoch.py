"""One epoch of a run: its dispatches, the figures that they bring, the saves within it."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from fracjax.runtime.sharding import replicate
from fracjax.runtime.termination import Ended, HeldBack
from fracjax.training.loaders import Loader
from fracjax.training.progress import Bar, Profile
from fracjax.training.step import Metrics, TrainState, stack_trees, unstack_trees
from fracjax.training.trainer import Trainer


def train_epoch(
    loader: Loader, active: list[Trainer], bar: Bar, profile: Profile, stop: HeldBack
) -> list[dict[str, float]]:
    """One epoch of the active networks, or what is left of it; their figures.

    Raises:
      Ended: the process was asked to; each network knows where it stands and is not saved.
    """
    trainers = loader.trainers
    # A stand-in for an idle network: its own state may be that of another phase.
    stand_ins = [t if t in active else active[0] for t in trainers]
    state = stack_trees([t.state for t in stand_ins])
    total = stack_trees([Metrics.of(t.meta.sums if t in active else {}) for t in trainers])
    key = stack_trees([t.key for t in trainers])
    state, total, key = replicate(loader.mesh, (state, total, key))
    begin = [t.meta.step if t in active else 0 for t in trainers]
    # Of all networks, active or not, and of all steps: another length would be another program.
    longest = max(t.steps for t in trainers)
    rates = [
        t.learning_rate[np.minimum(first + np.arange(longest), t.steps - 1)]
        for t, first in zip(stand_ins, begin, strict=True)
    ]
    steps = max(t.steps - t.meta.step for t in active)
    every = trainers[0].config.train.checkpoint_steps
    reached = [(0, total)]
    loader.start([t in active for t in trainers], begin, key, np.stack(rates))
    try:
        for chunk in plan(steps, loader.chunk, every, profile):
            take = partial(loader.take, state, total, chunk)
            state, total = profile.dispatch(chunk, take)
            reached.append((chunk.stop, total))
            # The figures of the dispatch before: asking for this one's would stall the devices.
            if len(reached) > 2:
                _report(loader, active, bar, reached.pop(0), reached[0])
            ends = stop.now()
            if ends or (every and chunk.stop % every == 0):
                loader.watch.results(total)
                _stand(loader, active, begin, chunk.stop, state, total)
                if ends:
                    raise Ended
                for trainer in active:
                    if trainer.meta.step < trainer.steps:
                        trainer.save()
    finally:
        loader.end()
    if len(reached) > 1:  # else a run goes on that had ended before its validation
        _report(loader, active, bar, *reached)
    totals = _stand(loader, active, begin, steps, state, total)
    return [one.means() for one in totals]


def _stand(
    loader: Loader,
    active: list[Trainer],
    begin: list[int],
    done: int,
    state: TrainState,
    total: Metrics,
) -> list[Metrics]:
    """Tell the active networks where they stand after so many steps; their figures so far."""
    count, out = len(loader.trainers), []
    states, totals = unstack_trees(state, count), unstack_trees(total, count)
    for first, trainer, own, metrics in zip(begin, loader.trainers, states, totals, strict=True):
        if trainer in active:
            sums = metrics.sums()
            if _is_finite(trainer, sums["loss"][0]):
                trainer.stand(own, min(first + done, trainer.steps), sums)
            out.append(metrics)
    return out


def plan(steps: int, most: int, every: int, profile: Profile) -> Iterator[range]:
    """The dispatches of an epoch, of `most` steps at most; 0 for no limit.

    One ends after `every` so many steps, for a checkpoint (0 for none), and where a trace does.
    """
    done = 0
    while done < steps:
        stop = min(done + (most or steps), steps)
        if every:
            stop = min(stop, (done // every + 1) * every)
        chunk = range(done, done + profile.clip(stop - done))
        yield chunk
        done = chunk.stop


def _report(
    loader: Loader,
    active: list[Trainer],
    bar: Bar,
    before: tuple[int, Metrics],
    now: tuple[int, Metrics],
) -> None:
    """Show the mean loss of the steps between two moments; stop at one that is not finite."""
    loader.watch.results(now[1])
    # Fetched before they are summed: JAX's own sum would queue behind the step that is running.
    loss, count, loss_before, count_before = (
        np.atleast_1d(np.asarray(x))
        for metrics in (now[1], before[1])
        for x in (metrics.loss.total, metrics.loss.count)
    )
    for trainer, total in zip(loader.trainers, loss, strict=True):
        if trainer in active:
            _is_finite(trainer, float(total))
    finite = np.isfinite(loss)
    gained, examples = loss[finite] - loss_before[finite], (count - count_before)[finite]
    mean = gained.sum() / max(examples.sum(), 1)
    bar.step(float(mean), now[0] - before[0])


def _is_finite(trainer: Trainer, loss: float) -> bool:
    """Whether a loss is a number; if not, the network is stopped."""
    if not math.isfinite(loss) and trainer.diverged is None:
        trainer.stop_at_nonfinite_loss(f"loss in epoch {trainer.meta.epoch + 1}", loss)
    return trainer.diverged is None
