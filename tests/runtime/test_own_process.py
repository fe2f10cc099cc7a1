"""What hangs, crashes or fails in a process of its own is answered in words."""

import pytest

from fracjax.errors import InputError
from fracjax.runtime.own_process import in_own_process

LIMITED = "from fracjax.runtime.own_process import limit_own_process\nlimit_own_process()\n"


def script(tmp_path, text: str):
    (tmp_path / "work.py").write_text(text)
    return tmp_path / "work.py"


def test_what_it_writes_comes_back(tmp_path):
    path = script(tmp_path, "import sys, fracjax; print(sys.argv[1], end='')")
    assert in_own_process(path, tmp_path, 20.0) == str(tmp_path).encode()


@pytest.mark.parametrize("text, said", [
    (LIMITED + "while True: pass", "more than (1 s of a processor|2 s)"),
    ("import os; os.abort()", r"or crashed \(signal 6\)"),
    ("raise MemoryError('too much')", "MemoryError: too much"),
])  # fmt: skip
def test_what_does_not_end_well_is_a_refusal(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        in_own_process(script(tmp_path, text), tmp_path, 1.0)


@pytest.mark.parametrize("limited", [LIMITED, ""])
def test_a_wait_has_an_end(tmp_path, monkeypatch, limited):
    """It counts from when its work begins; one that does not come to that ends, too."""
    monkeypatch.setattr("fracjax.runtime.own_process._START", 60 if limited else 1)
    work = script(tmp_path, f"import time\n{limited}time.sleep(600)")
    with pytest.raises(InputError, match="took more than 2 s"):
        in_own_process(work, tmp_path, 1.0)
