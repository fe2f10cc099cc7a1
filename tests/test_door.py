"""What is said when one of several processes waits for another in vain."""

import pytest

from fracjax.cli import errors

# As JAX 0.10 writes it.
BEHIND = (
    "DEADLINE_EXCEEDED: Barrier timed out. Id: x::0.\n# of tasks that reached the barrier: 2/4.\n"
    "The first task at the barrier: 0. Some timed out task names:\n1\n3\n\n\nRPC: /xla"
)


def _said(
    monkeypatch,
    behind: str | None,
    processes: int = 4,
    error: TimeoutError | None = None,
) -> tuple[int, str]:
    """How process 0 of so many ends."""

    def fail(code, text):
        raise SystemExit(code, text)

    monkeypatch.setattr(errors, "start_in_huge_pages", lambda: None)
    monkeypatch.setattr(errors, "several", lambda: processes > 1)
    monkeypatch.setattr(errors, "process", lambda: (0, processes))
    monkeypatch.setattr(errors, "fail", fail)
    monkeypatch.setattr(errors, "finish", lambda: None)
    with pytest.raises(SystemExit) as ended, errors.door():
        raise error or TimeoutError("too late") from (RuntimeError(behind) if behind else None)
    return ended.value.args


@pytest.mark.parametrize(("behind", "named"), [(BEHIND, "1, 3"), (None, "1, 2, 3")])
def test_the_processes_that_did_not_come_are_named(behind, named, monkeypatch):
    code, text = _said(monkeypatch, behind)
    assert code == 1
    assert f"process 0 of 4 waited in vain for process {named} (too late). Look at" in text
    assert "start all of them again" in text


def test_of_a_single_process_it_is_an_error_of_the_disk(monkeypatch):
    assert _said(monkeypatch, None, processes=1) == (2, "error: too late")


def test_a_disk_that_does_not_answer_is_no_other_process(monkeypatch):
    disk = TimeoutError(110, "Connection timed out", "/mnt/share")
    code, text = _said(monkeypatch, None, error=disk)
    assert code == 2
    assert text == "error: [Errno 110] Connection timed out: '/mnt/share'"


def test_an_interrupt_says_what_is_kept_and_where(monkeypatch):
    said = []
    monkeypatch.setattr(errors, "start_in_huge_pages", lambda: None)
    monkeypatch.setattr(errors, "fail", lambda *told: said.append(told))
    for stop in (KeyboardInterrupt("interrupted: 1 of 2"), KeyboardInterrupt()):
        with errors.door():
            raise stop
    assert said == [
        (130, "interrupted: 1 of 2"),
        (130, "interrupted; what was finished is kept"),
    ]
