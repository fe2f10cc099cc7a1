import json
import os
import subprocess
import sys

import pytest

from fracjax.runtime import huge_pages
from fracjax.runtime.huge_pages import STARTED_AGAIN, TUNABLES, wanted, with_huge_pages
from tests.paths import ROOT

BY_ASKING = "always [madvise] never\n"


@pytest.mark.parametrize("kernel", ["[always] madvise never\n", "always madvise [never]\n", ""])
def test_nothing_is_wanted_of_a_kernel_that_gives_them_always_or_never(kernel):
    assert not wanted({}, kernel)
    assert wanted({}, BY_ASKING)


@pytest.mark.parametrize("value", ["glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=1"])
def test_who_has_decided_is_not_asked_again(value):
    assert not wanted({TUNABLES: value}, BY_ASKING)


def test_no_process_is_started_again_twice_whatever_became_of_its_tunables():
    assert not wanted({STARTED_AGAIN: "1"}, BY_ASKING)


def test_other_tunables_are_kept():
    others = {TUNABLES: "glibc.malloc.check=1", "HOME": "/x"}
    asked = with_huge_pages(others)
    tunables = "glibc.malloc.check=1:glibc.malloc.hugetlb=1"
    assert asked == {TUNABLES: tunables, STARTED_AGAIN: "1", "HOME": "/x"}
    assert not wanted(asked, BY_ASKING)


PROGRAM = """
import json, os, pathlib, sys
from fracjax.runtime import huge_pages
huge_pages._KERNEL = pathlib.Path(os.environ["KERNEL"])
huge_pages.start_in_huge_pages()
print(json.dumps([os.getpid(), sys.argv[1:], os.environ.get("GLIBC_TUNABLES")]))
"""
DRIVER = """
import runpy, sys
print("begins", flush=True)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="GLIBC_TUNABLES is of Linux")


@pytest.fixture
def program(tmp_path):
    """A script that starts again if it may, and prints whether it did."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def _run(tmp_path, *words, given: str = ""):
    """Run Python where huge pages are to be had; its id, and what it prints."""
    (tmp_path / "enabled").write_text(BY_ASKING)
    environment = {k: v for k, v in os.environ.items() if k not in (TUNABLES, STARTED_AGAIN)}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=environment | {"KERNEL": str(tmp_path / "enabled"), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    printed, _ = process.communicate(given, timeout=60)
    return process.pid, printed


def test_a_script_starts_again_once_as_the_same_process_with_its_arguments(tmp_path, program):
    relative = os.path.relpath(program)
    pid, printed = _run(tmp_path, "-W", "ignore", relative, "--a", "b c")
    assert json.loads(printed) == [pid, ["--a", "b c"], "glibc.malloc.hugetlb=1"]


@pytest.mark.parametrize("way", ["driver", "stdin", "-c", "-m", "-i", "traced"])
def test_a_program_that_has_more_to_do_than_the_script_is_left_alone(tmp_path, program, way):
    driver = tmp_path / "driver.py"
    traced = "import sys; sys.settrace(lambda *_: None)" + PROGRAM
    driver.write_text(traced if way == "traced" else DRIVER)
    words = {
        "driver": [driver, program],
        "stdin": ["-"],
        "-c": ["-c", PROGRAM],
        "-m": ["-m", "cProfile", program],
        "-i": ["-i", program],
        "traced": [driver],
    }
    _, printed = _run(tmp_path, *words[way], given=PROGRAM if way == "stdin" else "")
    lines = printed.splitlines()
    assert lines[: way == "driver"] == ["begins"] * (way == "driver")
    assert json.loads(lines[way == "driver"])[2] is None


def test_where_the_kernel_says_nothing_the_program_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(huge_pages, "_KERNEL", tmp_path / "absent")
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started again"))
    monkeypatch.delenv(TUNABLES, raising=False)
    huge_pages.start_in_huge_pages()
