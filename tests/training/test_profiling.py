"""Which steps a profiled run traces, and what it says; a real trace is in `test_loop.py`."""

import jax
import pytest
from rich.console import Console

from fracjax.training.progress import Profile


@pytest.fixture
def calls(monkeypatch):
    """What would have been asked of JAX's profiler."""
    made = []

    def start(folder, create_perfetto_trace, profiler_options):
        assert create_perfetto_trace
        assert profiler_options.python_tracer_level == 0
        made.append("start")
        (folder / "plugins/profile/now").mkdir(parents=True)
        (folder / "plugins/profile/now/perfetto_trace.json.gz").touch()

    monkeypatch.setattr(jax.profiler, "start_trace", start)
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: made.append("stop"))
    return made


def _run(profile, epochs, chunk):
    """The dispatches of a loop, as (first step, step after the last)."""
    out = []
    with profile:
        for steps in epochs:
            done = 0
            while done < steps:
                stop = done + profile.clip(min(chunk, steps - done))
                profile.dispatch(range(done, stop), lambda: out.append((done, stop)))  # noqa: B023
                done = stop
    return out


@pytest.mark.parametrize(
    ("steps", "chunk", "dispatches"),
    [
        (0, 4, [(0, 4), (4, 6), (0, 4), (4, 6)]),
        (2, 1, [(i, i + 1) for i in range(6)] * 2),
        (3, 6, [(0, 1), (1, 4), (4, 6), (0, 6)]),  # not a whole epoch, nor the one that compiles
        (7, 6, [(0, 1), (1, 6), (0, 2), (2, 6)]),
    ],
)
def test_the_first_step_compiles_and_so_many_after_it_are_traced(
    calls, tmp_path, steps, chunk, dispatches
):
    said = Console(record=True, width=400)
    assert _run(Profile(tmp_path, steps, said), (6, 6), chunk) == dispatches
    assert calls == (["start", "stop"] if steps else [])
    text = said.export_text()
    if not steps:
        assert text == ""
        return
    assert text.startswith(f"{steps} steps are profiled in {tmp_path}/plugins/profile/now/perfetto")
    assert "https://ui.perfetto.dev" in text
    assert f"`xprof --logdir {tmp_path}`" in text


def test_a_run_that_is_over_sooner_leaves_what_it_has(calls, tmp_path):
    said = Console(record=True, width=400)
    _run(Profile(tmp_path, 99, said), (6, 6), 1)
    assert calls == ["start", "stop"]
    assert said.export_text().startswith("11 steps are profiled")


def test_a_run_of_one_step_says_that_it_traced_nothing(calls, tmp_path):
    said = Console(record=True, width=400)
    _run(Profile(tmp_path, 5, said), (1,), 1)
    assert said.export_text().startswith("no trace was written: the first step, which compiles,")
