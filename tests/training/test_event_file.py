"""TensorBoard's files: what is in them, and what of a killed session is not."""

import pytest
from tensorboardX.record_writer import RecordWriter

from fracjax.training.event_file import EventFile
from fracjax.training.trainer import RunLog
from tests.training.runs import scalars


def test_what_is_no_whole_number_is_written_by_epoch(tmp_path):
    events = EventFile(tmp_path)
    events.add(1, {"epoch": 1, "validation_loss": 0.5})
    events.add(2, {"epoch": 2, "validation_loss": 0.25, "train_loss": 0.125})
    assert scalars(tmp_path) == {
        (1, "validation_loss"): 0.5,
        (2, "validation_loss"): 0.25,
        (2, "train_loss"): 0.125,
    }


def test_the_bytes_are_those_of_tensorboardx(tmp_path):
    events = EventFile(tmp_path)
    events.add(1, {"loss": 0.5})
    (path,) = tmp_path.iterdir()
    raw, place = path.read_bytes(), 0
    again = RecordWriter(str(tmp_path / "again"))
    while place < len(raw):
        size = int.from_bytes(raw[place : place + 8], "little")
        again.write(raw[place + 12 : place + 12 + size])
        place += size + 16
    again.close()
    assert (tmp_path / "again").read_bytes() == raw


@pytest.mark.parametrize("lost", [0, 1, 15, 17])
def test_later_epochs_of_an_earlier_session_and_half_an_event_are_forgotten(lost, tmp_path):
    events = EventFile(tmp_path)
    for epoch in (1, 2, 3):
        events.add(epoch, {"loss": 1 / epoch})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[: -lost or None])
    whole = path.read_bytes()
    events.forget_after(3)
    assert (path.read_bytes() == whole) == (lost == 0)
    events.forget_after(2)
    assert scalars(tmp_path) == {(1, "loss"): 1.0, (2, "loss"): 0.5}
    events.forget_after(0)
    assert scalars(tmp_path) == {}
    assert list(tmp_path.iterdir()) == [path]


def test_events_that_cannot_be_written_end_no_training(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    with (log := RunLog(tmp_path)):
        monkeypatch.setattr(EventFile, "add", full)
        for epoch in (1, 2):
            log.write_events(epoch, {"loss": 0.5})
    assert capsys.readouterr().err == (
        f"note: no more events for TensorBoard in {tmp_path} ([Errno 28] No space left on device); "
        "training goes on, and history.json has the figures\n"
    )
