"""What a run says of the devices and the seconds of its training."""

import dataclasses
import json

import jax
import pytest

from fracjax.errors import InputError
from fracjax.runtime.sharding import data_mesh
from fracjax.training import training_record
from fracjax.training.training_record import RECORD, Session, TrainingRecord, read_sessions


def _trained(workdir, begun, ended, resumes=True):
    clock = iter([begun, *ended])
    record = TrainingRecord(workdir, data_mesh(1), resumes=resumes, now=lambda: next(clock))
    for _ in ended:
        record.save()


def test_sessions_on_one_device_add_up_and_another_device_is_another_session(tmp_path, monkeypatch):
    assert read_sessions(tmp_path) == []
    _trained(tmp_path, 100.0, [110.0, 130.0])
    (session,) = read_sessions(tmp_path)
    assert session == Session("cpu", jax.devices()[0].device_kind, 1, jax.__version__, 30.0)
    _trained(tmp_path, 5.0, [])  # killed before its first epoch was over: nothing changes
    _trained(tmp_path, 5.0, [9.0])
    assert [one.seconds for one in read_sessions(tmp_path)] == [34.0]
    other = dataclasses.replace(session, device="NVIDIA H100 80GB HBM3", seconds=0.0)
    monkeypatch.setattr(training_record.Session, "on", lambda _: other)
    _trained(tmp_path, 0.0, [2.0])
    found = [(one.device, one.seconds) for one in read_sessions(tmp_path)]
    assert found == [(session.device, 34.0), ("NVIDIA H100 80GB HBM3", 2.0)]


def test_a_run_that_begins_anew_begins_at_nothing(tmp_path):
    _trained(tmp_path, 0.0, [10.0])
    _trained(tmp_path, 0.0, [], resumes=False)  # killed before its first epoch was over
    assert read_sessions(tmp_path) == []
    _trained(tmp_path, 0.0, [3.0])
    assert [one.seconds for one in read_sessions(tmp_path)] == [3.0]


@pytest.mark.parametrize("damage", ["{}", '{"sessions": [{"device": "x"}]}', "[1"])
def test_a_damaged_record_is_refused_by_name(tmp_path, damage):
    (tmp_path / RECORD).write_text(damage)
    with pytest.raises(InputError, match=r"training\.json.*delete it: it only says how long"):
        read_sessions(tmp_path)


def test_the_record_is_plain_json(tmp_path):
    _trained(tmp_path, 0.0, [1.0])
    (session,) = json.loads((tmp_path / RECORD).read_text())["sessions"]
    assert session == dataclasses.asdict(read_sessions(tmp_path)[0])
