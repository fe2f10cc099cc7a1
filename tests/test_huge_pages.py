import json
import os
import subprocess
import sys

import pytest

from fracjax import huge_pages
from fracjax.huge_pages import TUNABLES, wanted, with_huge_pages

BY_ASKING = "always [madvise] never\n"


@pytest.mark.parametrize("kernel", ["[always] madvise never\n", "always madvise [never]\n", ""])
def test_nothing_is_wanted_of_a_kernel_that_gives_them_always_or_never(kernel):
    assert not wanted({}, kernel)
    assert wanted({}, BY_ASKING)


@pytest.mark.parametrize("value", ["glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=1"])
def test_who_has_decided_is_not_asked_again(value):
    assert not wanted({TUNABLES: value}, BY_ASKING)


def test_other_tunables_are_kept():
    others = {TUNABLES: "glibc.malloc.check=1", "HOME": "/x"}
    asked = with_huge_pages(others)
    assert asked == {TUNABLES: "glibc.malloc.check=1:glibc.malloc.hugetlb=1", "HOME": "/x"}
    assert not wanted(asked, BY_ASKING)


PROGRAM = """
import json, os, pathlib, sys
from fracjax import huge_pages
huge_pages._KERNEL = pathlib.Path(sys.argv[1])
huge_pages.start_in_huge_pages()
print(json.dumps([os.getpid(), sys.argv[2:], os.environ["GLIBC_TUNABLES"]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="GLIBC_TUNABLES is of Linux")
def test_a_program_starts_again_once_as_the_same_process_with_its_arguments(tmp_path):
    kernel = tmp_path / "enabled"
    kernel.write_text(BY_ASKING)
    environment = {k: v for k, v in os.environ.items() if k != TUNABLES}
    command = [sys.executable, "-c", PROGRAM, str(kernel), "--a", "b c"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    printed, _ = process.communicate(timeout=60)
    assert json.loads(printed) == [process.pid, ["--a", "b c"], "glibc.malloc.hugetlb=1"]


def test_where_the_kernel_says_nothing_the_program_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(huge_pages, "_KERNEL", tmp_path / "absent")
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started again"))
    monkeypatch.delenv(TUNABLES, raising=False)
    huge_pages.start_in_huge_pages()
