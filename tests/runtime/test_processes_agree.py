"""What several processes refuse together, without the processes: their answers stand here."""

import json

import pytest

from fracjax.errors import InputError
from fracjax.runtime import multihost
from fracjax.runtime.multihost import (
    allgather,
    check_same_on_all_hosts,
    check_shared,
    folder_of_first,
    is_main,
)


def _another_has(monkeypatch, answer):
    """As if there were a second process, which answers so to what this one has."""
    monkeypatch.setattr(multihost, "is_multihost", lambda: True)
    monkeypatch.setattr(multihost, "allgather", lambda value: [value, answer(value)])
    monkeypatch.setattr(multihost, "run_on_main", lambda work, what: work())


def test_processes_about_different_things_are_refused_by_name(monkeypatch):
    _another_has(monkeypatch, lambda facts: {**facts, "jax": "0.9"})
    with pytest.raises(
        InputError, match=r"processes 0 and 1 .* differ in jax: 0\.10, 0\.9\. Start"
    ):
        check_same_on_all_hosts({"jax": "0.10", "split": "abc"})


def test_long_facts_are_compared_by_their_hash(monkeypatch):
    sent = []
    _another_has(monkeypatch, lambda facts: sent.append(facts) or facts)
    check_same_on_all_hosts({"files": "a.png" * 1000, "split": "abc"})
    assert len(json.dumps(sent[0])) < 200
    assert sent[0]["split"] == "abc"


def test_a_folder_that_is_not_shared_is_refused_and_left_as_it_was(monkeypatch, tmp_path):
    _another_has(monkeypatch, lambda value: False if isinstance(value, bool) else value)
    with pytest.raises(InputError, match="process 1 does not see what process 0 writes into"):
        check_shared(tmp_path)
    assert list(tmp_path.iterdir()) == []
    _another_has(monkeypatch, lambda value: value)
    check_shared(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_single_process_is_the_first_and_alone(tmp_path):
    assert is_main()
    assert allgather({"a": 1}) == [{"a": 1}]
    assert folder_of_first(tmp_path) == tmp_path
    check_same_on_all_hosts({"jax": "0.10"})
    check_shared(tmp_path / "nowhere")
