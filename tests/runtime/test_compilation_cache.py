"""What a script compiles is there for the next one; a folder that fails it ends no run."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from fracjax.runtime import compilation_cache
from fracjax.runtime.compilation_cache import cache_root, enable, machine, shrink
from tests.paths import ROOT

_RUN = """
from collections import Counter
from fracjax.cli.process import run_program

def main():
    import jax, jax.numpy as jnp
    seen = Counter()
    jax.monitoring.register_event_listener(lambda event, **_: seen.update([event.split("/")[-1]]))
    print(float(jax.jit(lambda x: (x @ x + 1).sum())(jnp.ones((8, 8)))))
    print(seen["cache_hits"], seen["cache_misses"])

run_program(main)
"""


def _run(home: Path) -> tuple[int, int]:
    """Run a script that compiles; programs that it found, and that it wrote."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMP", "JAX_PERS"))}
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        env={**ours, "XDG_CACHE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    value, counts = done.stdout.splitlines()
    assert float(value) == 8 * 8 * 9
    hits, misses = map(int, counts.split())
    return hits, misses


def _programs(home: Path) -> dict[str, int]:
    return {p.name: p.stat().st_size for p in home.rglob("*-cache")}


def test_the_next_script_compiles_nothing_and_a_damaged_program_is_replaced(tmp_path):
    hits, misses = _run(tmp_path)
    kept = _programs(tmp_path)
    assert hits == 0
    assert misses == len(kept) > 0
    assert {p.parent for p in tmp_path.rglob("*-cache")} == {cache_root(_at(tmp_path)) / machine()}
    assert _run(tmp_path) == (misses, 0)
    assert _programs(tmp_path) == kept
    for path in tmp_path.rglob("*-cache"):  # as a killed run, or a full disk, would leave it
        path.write_bytes(path.read_bytes()[: len(path.name)])
    assert _run(tmp_path) == (0, misses)
    assert _programs(tmp_path).keys() == kept.keys()
    assert _run(tmp_path) == (misses, 0)


def _at(home: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(home)}


@pytest.fixture
def untouched(monkeypatch):
    """As a user's shell is: without the folder that tests share; nothing outlives the test."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield monkeypatch
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        os.environ.pop(name, None)  # monkeypatch then puts back what was there


def test_the_users_own_folder_is_left_to_jax(untouched, tmp_path):
    untouched.setenv("JAX_COMPILATION_CACHE_DIR", "")  # JAX's way to write: none
    untouched.setenv("XDG_CACHE_HOME", str(tmp_path))
    enable()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == ""
    assert "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(untouched, tmp_path, capsys):
    (tmp_path / "file").touch()
    untouched.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    enable()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    said = capsys.readouterr().err
    assert said.startswith("note: compiled programs are not kept ([Errno 20] Not a directory: ")
    assert said.endswith("; JAX_COMPILATION_CACHE_DIR names another folder\n")
    assert said.count("\n") == 1


def test_a_user_without_a_home_is_one_line(untouched, capsys):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    untouched.delenv("XDG_CACHE_HOME", raising=False)
    untouched.setattr(Path, "home", nowhere)
    enable()
    assert capsys.readouterr().err.startswith("note: compiled programs are not kept (Could not det")


def test_a_folder_that_may_not_be_written_is_one_line(untouched, tmp_path, capsys):
    untouched.setenv("XDG_CACHE_HOME", str(tmp_path))
    untouched.setattr(compilation_cache.os, "access", lambda *_: False)
    enable()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert "may not be written" in capsys.readouterr().err


def test_what_cannot_be_written_later_on_is_said_once(untouched, tmp_path, capsys):
    untouched.setenv("XDG_CACHE_HOME", str(tmp_path))
    shown = []
    untouched.setattr(warnings, "showwarning", lambda message, *_, **__: shown.append(str(message)))
    enable()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        show = compilation_cache.warnings.showwarning
        for text in (
            "Error writing persistent compilation cache entry for 'jit_a': OSError: no space",
            "Error writing persistent compilation cache entry for 'jit_b': OSError: no space",
            "another one",
        ):
            show(UserWarning(text), UserWarning, "file.py", 1)
    assert shown == ["another one"]
    assert capsys.readouterr().err == (
        "note: compiled programs are not kept: Error writing persistent compilation cache entry "
        "for 'jit_a': OSError: no space\n"
    )


def test_what_was_used_longest_ago_goes_first(tmp_path):
    for name, size, used, written in (
        ("one/a-cache", 100, 4, 1),
        ("one/b-cache", 50, 1, 2),
        ("two/c-cache", 30, 0, 3),  # where the disk does not note reading
        ("two/d-cache", 20, 0, 5),
        ("two/other", 999, 0, 0),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (used, written))

    def left():
        return sorted(path.name for path in tmp_path.rglob("*-cache"))

    shrink(tmp_path, 200)
    assert left() == ["a-cache", "b-cache", "c-cache", "d-cache"]
    shrink(tmp_path, 150)
    assert left() == ["a-cache", "c-cache", "d-cache"]
    shrink(tmp_path, 119)
    assert left() == ["d-cache"]
    assert (tmp_path / "two" / "other").exists()


def test_a_relative_cache_home_is_ignored_as_its_specification_says():
    assert cache_root({"XDG_CACHE_HOME": "/var/x"}) == Path("/var/x/fracjax/xla")
    home = Path.home() / ".cache/fracjax/xla"
    assert cache_root({"XDG_CACHE_HOME": "x"}) == cache_root({}) == home


def test_another_cpu_or_another_share_of_it_has_a_folder_of_its_own(monkeypatch):
    def on(flags="sse avx", mhz=2000, cores=(0, 1)):
        text = f"model name\t: EPYC\ncpu MHz\t: {mhz}\nflags\t: {flags}\n\n" * 2
        monkeypatch.setattr(Path, "read_text", lambda _: text)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cores), raising=False)
        return machine()

    assert on() == on() == on(mhz=3000)
    assert len({on(), on(flags="sse"), on(cores=(0,))}) == 3
    monkeypatch.setattr(Path, "read_text", lambda _: Path("/nowhere").read_bytes())
    assert len(machine()) == 16


def test_training_and_prediction_set_up_before_jax_is_imported():
    """JAX reads the folder's name as it is imported."""
    names = ["train", "evaluate", "predict", "cascade", "two_stages", "explain", "reproduce"]
    code = "\n".join(
        [
            "import runpy, sys",
            *(f"runpy.run_path({str(ROOT / 'scripts' / f'{name}.py')!r})" for name in names),
            "assert 'jax' not in sys.modules",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_training_run_does_not_need_is_not_imported():
    """Statistics and splits are seconds of every start."""
    code = (
        "import sys, fracjax.workflows.train, fracjax.training.loop\n"
        "print(*sorted({'scipy.stats', 'scipy.optimize', 'scipy.special', 'scipy.ndimage', "
        "'sklearn', 'pandas', 'matplotlib', 'pydicom', 'h5py'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
