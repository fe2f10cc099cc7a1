"""The one command for a card: which words it runs, what it keeps, what it writes."""

import json
import sys

import pytest

from tests.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))  # as of a script there

import accelerator
from kernels import kernels


def test_an_interpreter_that_is_not_there_goes_with_its_flag():
    one = accelerator.MEASUREMENTS[0]
    words = accelerator.command_of(one, {"torch": "/t/python", "keras": ""}, False, json="J")
    assert words[words.index("--torch") + 1] == "/t/python"
    assert "--keras" not in words
    assert words[words.index("--json") + 1] == "J"


def test_what_is_kept_is_written_and_the_rest_is_named(tmp_path):
    results = tmp_path / "RESULTS.md"
    results.write_text(f"# Before\n{accelerator.BEGIN}\nold\n{accelerator.END}\nafter\n")
    kept = tmp_path / "kept"
    kept.mkdir()
    record = {"title": "Speed", "command": "python speed", "printed": "| 1 |\n\n\n\n| 2 |\n"}
    (kept / "inception_v3_256.json").write_text(json.dumps(record))
    for _ in range(2):  # again is the same
        accelerator.write(kept, results)
        text = results.read_text()
        assert text.startswith("# Before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert "#### Speed\n\n`python speed`\n\n| 1 |\n\n| 2 |" in text
        assert "--only inception_v3_256" not in text
        assert "--only efficientnet_b0_256" in text
    results.write_text("no lines")
    with pytest.raises(SystemExit, match="has no lines"):
        accelerator.write(kept, results)


def test_the_page_is_what_the_kept_results_make():
    text = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert accelerator.section(accelerator.KEPT) in text


def test_one_that_takes_too_long_is_stopped_and_not_kept(tmp_path, capsys):
    slow = accelerator.Measurement("slow", "Slow", "-c import(time).sleep(9)", "")
    failing = accelerator.Measurement("bad", "Bad", "no_such_file.py", "")
    limits = accelerator.Limits(0.01, {}, toy=False)
    assert accelerator.measure(failing, limits, tmp_path).startswith("failed with 2")
    limits = accelerator.Limits(0.0, {}, toy=False)
    assert accelerator.measure(slow, limits, tmp_path).startswith("stopped")
    assert not list(tmp_path.iterdir())


def test_kernels_are_those_of_the_streams_of_devices():
    def named(what, name, pid, tid=0):
        return {"ph": "M", "name": what, "args": {"name": name}, "pid": pid, "tid": tid}

    def ran(name, pid, tid, dur):
        return {"ph": "X", "name": name, "pid": pid, "tid": tid, "dur": dur}

    events = [
        named("process_name", "/device:GPU:0", 1),
        named("process_name", "/host:CPU", 2),
        named("thread_name", "Stream #14(Compute)", 1, 7),
        named("thread_name", "XLA Ops", 1, 8),
        named("thread_name", "Stream #14(Compute)", 2, 7),
        ran("conv", 1, 7, 5.0),
        ran("conv", 1, 7, 7.0),
        ran("fusion", 1, 7, 20.0),
        ran("conv", 1, 8, 100.0),  # the same time again, by operation
        ran("python", 2, 7, 100.0),
    ]
    assert kernels(events) == {"fusion": (1, 20.0), "conv": (2, 12.0)}
