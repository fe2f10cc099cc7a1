"""The epochs of a run: all of its networks step by step, in one program.

Networks need not be at the same epoch: one may have stopped, or been saved further than another
when the run was killed. Whoever has nothing to do stands idle in the program, which has one shape.
"""

import math

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from fracjax.runtime.sharding import replicate
from fracjax.training.forward import make_forward
from fracjax.training.loaders import Epoch, Loader, make_loader
from fracjax.training.multi_step import stack_trees, unstack_trees
from fracjax.training.profiling import Profile
from fracjax.training.progress import Bar, progress_bar
from fracjax.training.step import Metrics, StepSpec
from fracjax.training.time_breakdown import Stopwatch
from fracjax.training.trainer import Trainer


def run_epochs(members: list[Trainer], mesh: Mesh, console: Console, profile: Profile) -> None:
    """Train until no network has an epoch left; each is validated and saved after each epoch.

    Args:
      members: the networks of the run.
      mesh: devices.
      console: where the progress goes.
      profile: traces the first steps, if it was asked to.

    Raises:
      UserError: a loss is not finite, or there is no room for resident mode.
    """
    first, watch = members[0], Stopwatch()
    feed, why = make_loader(members, mesh, watch)
    console.print(why, highlight=False)
    forward = make_forward(
        first.network.model,
        image=first.network.image,
        mesh=mesh,
        start=first.material.start,
        colormap=first.config.data.colormap,
    )
    compiled = None
    epochs = sum(phase.epochs for phase in first.config.phases)
    most = max(member.steps for member in members)
    with (
        progress_bar(
            console,
            steps=epochs * most,
            done=min(member.meta.epoch * most + member.meta.step for member in members),
            batch_size=first.config.data.batch_size * len(members),
            watch=watch,
        ) as bar,
        profile,
    ):
        while ahead := [(place.phase, m) for m in members if (place := m.place) is not None]:
            watch.begin()
            # All of a phase before any of the next: a phase is a program of its own.
            phase = min(number for number, _ in ahead)
            active = [member for number, member in ahead if number == phase]
            if phase != compiled:
                feed.compile(_recipe(first, phase))
                compiled = phase
            bar.epoch(min(member.meta.epoch for member in active) + 1, epochs)
            figures = _epoch(members, active, phase, feed, mesh, bar, watch, profile)
            for member, trained in zip(active, figures, strict=True):
                line = member.diverged
                if line is None:
                    with jax.profiler.TraceAnnotation("validate"):
                        logits = feed.validate(members.index(member), forward)
                    line = member.finish_epoch(trained, logits)
                bar.note(line if len(members) == 1 else f"{member.config.workdir.name}  {line}")
            shares = watch.shares
            for member in active:
                member.record_time(shares)
            bar.note(f"time: {shares}")


def _recipe(member: Trainer, phase: int) -> StepSpec:
    return StepSpec(
        view=member.network.training_view(phase),
        tx=member.network.optimizer(phase),
        image=member.network.image,
        policy=member.config.augment,
        colormap=member.config.data.colormap,
        loss=member.config.loss,
        start=member.material.start,
    )


def _epoch(
    members: list[Trainer],
    active: list[Trainer],
    phase: int,
    feed: Loader,
    mesh: Mesh,
    bar: Bar,
    watch: Stopwatch,
    profile: Profile,
) -> list[dict[str, float]]:
    """One epoch of the active networks, or what is left of it; their figures."""
    for member in active:
        member.enter(phase)
    # A stand-in for an idle network: its own state may be that of another phase.
    state = stack_trees([(m if m in active else active[0]).state for m in members])
    total = stack_trees([Metrics.of(m.meta.sums if m in active else {}) for m in members])
    key = stack_trees([member.key for member in members])
    state, total, key = replicate(mesh, (state, total, key))
    begin = [member.meta.step if member in active else 0 for member in members]
    # Of all of them, active or not: another length would be another program.
    longest = max(member.steps for member in members)
    advance = feed.open(
        Epoch(
            active=[member in active for member in members],
            begin=begin,
            key=key,
            sizes=np.stack([_sizes(m if m in active else active[0], longest) for m in members]),
        )
    )
    steps = max(member.steps - member.meta.step for member in active)
    every = members[0].config.train.checkpoint_steps
    done, reached = 0, [(0, total)]
    while done < steps:
        stop = min(done + (feed.chunk or steps), steps)
        if every:
            stop = min(stop, (done // every + 1) * every)
        stop = profile.shortened(done, stop)
        with profile.dispatch(done):
            state, total = advance(state, total, done, stop)
        profile.took(stop - done, (state, total))
        done = stop
        reached.append((done, total))
        # The figures of the dispatch before: asking for this one's would stall the devices.
        if len(reached) > 2:
            watch.results(reached[1])
            _report(reached.pop(0), reached[0], members, active, bar)
        if every and done % every == 0:
            for i, member in enumerate(members):
                if member in active and begin[i] + done < member.steps:
                    watch.results(total)
                    sums = unstack_trees(total, i, len(members)).sums()
                    if _is_finite(member, sums["loss"][0]):
                        member.save_within(
                            unstack_trees(state, i, len(members)), begin[i] + done, sums
                        )
    watch.results(total)
    _report(reached[0], reached[1], members, active, bar)
    figures = []
    for i, member in enumerate(members):
        if member in active:
            member.state = unstack_trees(state, i, len(members))
            computed = unstack_trees(total, i, len(members)).compute()
            figures.append({name: float(value) for name, value in computed.items()})
    return figures


def _sizes(member: Trainer, steps: int) -> np.ndarray:
    """Step sizes of an epoch; those after its end are never used."""
    sizes = member.learning_rates()
    return np.pad(sizes, (0, steps - len(sizes)), mode="edge")


def _report(
    before: tuple[int, Metrics],
    now: tuple[int, Metrics],
    members: list[Trainer],
    active: list[Trainer],
    bar: Bar,
) -> None:
    """Show the mean loss of the steps between two moments; stop at one that is not finite."""
    # Fetched before they are summed: JAX's own sum would queue behind the step that is running.
    loss, count, earlier, fewer = (
        np.atleast_1d(np.asarray(x))
        for metrics in (now[1], before[1])
        for x in (metrics.loss.total, metrics.loss.count)
    )
    for member, total in zip(members, loss, strict=True):
        if member in active:
            _is_finite(member, float(total))
    sound = np.isfinite(loss)
    mean = (loss - earlier)[sound].sum() / max((count - fewer)[sound].sum(), 1)
    bar.step(float(mean), now[0] - before[0])


def _is_finite(member: Trainer, loss: float) -> bool:
    """Whether a loss is a number; if not, the network is stopped."""
    if not math.isfinite(loss) and member.diverged is None:
        member.raise_problems(f"loss in epoch {member.meta.epoch + 1}", loss)
    return member.diverged is None
