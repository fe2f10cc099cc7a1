"""Figures for TensorBoard, written by the thread that has them: a run has each epoch once.

The writers of TensorFlow, which is never imported here, and of tensorboardX write from a thread of
their own, which a full disk ends with a traceback; and neither forgets what a run that was killed
had written of epochs that it then repeats.

Source: the format of TFRecord, tensorflow.org/tutorials/load_data/tfrecord.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import masked_crc32c

from fracjax.runtime.atomic_files import replacing

_NAME = "events.out.tfevents.{}"
_HEAD, _TAIL = 12, 4  # bytes before and after an event: its length, and checksums of both


class EventFile:
    """The events of one network in its workdir; the first figures make the file."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._path = workdir / _NAME.format(f"{time.time():.0f}.{socket.gethostname()}")

    def add(self, epoch: int, figures: Mapping[str, Any]) -> None:
        """Append those figures of an epoch that are no whole numbers.

        Raises:
          OSError: the disk is full, or the file may not be written.
        """
        events = [
            Event(step=epoch, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)]))
            for name, value in figures.items()
            if isinstance(value, float)
        ]
        if not self._path.exists():
            events.insert(0, Event(file_version="brain.Event:2"))
        for event in events:
            event.wall_time = time.time()
        with self._path.open("ab") as file:  # closed each time, so that a killed run keeps it
            file.write(b"".join(_record(event.SerializeToString()) for event in events))

    def forget_after(self, epoch: int) -> None:
        """Leave out what earlier sessions wrote of later epochs, and half an event at an end."""
        for left in self._workdir.glob(_NAME.format("*.unfinished")):
            left.unlink()  # by a session that was killed in the next lines
        for path in self._workdir.glob(_NAME.format("*")):
            raw = path.read_bytes() if path.is_file() else b""
            events = [event for event in _events(raw) if Event.FromString(event).step <= epoch]
            if (kept := b"".join(map(_record, events))) != raw:
                with replacing(path) as unfinished:
                    unfinished.write_bytes(kept)


def _record(event: bytes) -> bytes:
    size = len(event).to_bytes(8, "little")
    return b"".join((size, _checksum(size), event, _checksum(event)))


def _checksum(data: bytes) -> bytes:
    return masked_crc32c(data).to_bytes(4, "little")


def _events(raw: bytes) -> Iterator[bytes]:
    """Each event of a file, up to where it is cut off or damaged."""
    place = 0
    while place < len(raw):
        begin = place + _HEAD
        event = raw[begin : begin + int.from_bytes(raw[place : place + 8], "little")]
        end = begin + len(event) + _TAIL
        if raw[place:end] != _record(event):
            return
        yield event
        place = end
