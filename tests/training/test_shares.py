"""Where the time of a run goes, by a clock that the tests set."""

import re

import numpy as np
import pytest
from rich.console import Console

from fracjax.runtime.stopwatch import Stopwatch, TimeBreakdown
from fracjax.training.loaders import ResidentLoader
from fracjax.training.progress import Bar
from fracjax.training.step import Metrics, TrainState


class Clock:
    """Stands still but for what it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_shares_are_those_of_the_wall_clock():
    clock = Clock()
    watch = Stopwatch(clock)
    clock.now += 50  # before the epoch
    watch.begin()
    with watch.waiting_for("input"):
        clock.now += 2
    clock.now += 1
    for seconds in (60, 35):
        with watch.waiting_for("device"):
            clock.now += seconds
    clock.now += 2
    shares = watch.breakdown
    assert vars(shares) == pytest.approx({"input": 0.02, "device": 0.95, "host": 0.03})
    assert str(shares) == "input 2 % device 95 % host 3 %"


def test_what_is_done_with_a_batch_is_no_waiting_for_it():
    clock = Clock()
    watch = Stopwatch(clock)

    def read():
        for batch in "ab":
            clock.now += 3  # two batches, and the word that there are no more
            yield batch
        clock.now += 3

    seen = []
    for batch in watch.inputs(read()):
        seen.append(batch)
        clock.now += 15.5
    assert seen == ["a", "b"]
    assert watch.breakdown.input == pytest.approx(9 / 40)


@pytest.mark.parametrize(("chunk", "device"), [(32, 30.0), (1, 0.0)])
def test_a_call_that_loops_on_the_device_is_waited_for_and_one_that_compiles_is_not(chunk, device):
    """As of a GPU; a dispatch of one step comes back at once, and its result is waited for."""
    clock = Clock()
    loader = object.__new__(ResidentLoader)

    def slow(state, total, first, end):
        clock.now += 10
        return state, total

    own = {"watch": Stopwatch(clock), "chunk": chunk, "_epoch": ()}
    vars(loader).update(own, _compiled=False, _dispatch=slow)
    begun = TrainState(0, {}, {}, {}), Metrics.of({})
    for number in range(4):
        assert loader.take(*begun, range(number, number + 3)) == begun
    assert loader.watch.breakdown.device == pytest.approx(device / 40)


def test_no_time_at_all_is_the_hosts():
    assert Stopwatch(Clock()).breakdown == TimeBreakdown(0.0, 0.0, 1.0)


def test_the_printed_shares_sum_to_100():
    rng = np.random.default_rng(0)
    halves = [(0.005, 0.995, 0.0), (0.015, 0.985, 0.0), (0.335, 0.665, 0.0), (0.0, 0.0, 1.0)]
    for shares in [*halves, *rng.dirichlet([0.3] * 3, 1000)]:
        found = [int(n) for n in re.findall(r"-?\d+", str(TimeBreakdown(*shares)))]
        assert sum(found) == 100
        assert min(found) >= 0
        assert np.abs(np.array(found) - 100 * np.array(shares)).max() <= 1 + 1e-9


def test_the_progress_fits_a_terminal_of_80_columns():
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.waiting_for("device"):
        clock.now += 95
    clock.now += 5
    said = Console(record=True, width=80, color_system=None)  # a live bar would be printed thrice
    with Bar(Console(quiet=True), 4550, 0, 32, watch) as bar:
        bar.epoch(12, 50)
        bar.step(0.69314, 1200)
        said.print(bar.get_renderable())
    above, below = said.export_text().splitlines()
    assert re.fullmatch(r"epoch 12/50 ━+ +1200/4550 0:00:00 left -:--:-- *", above)
    assert below.rstrip() == "loss 0.6931  0 images/s  input 0 % device 95 % host 5 %"
