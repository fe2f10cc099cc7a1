"""`test_looks.json`: how often the test part was looked at, of which network.

A test part that is looked at, and then looked at again after a change, has become a validation
part. Nothing is refused: it is counted, for the reader to judge.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fracjax.errors import InputError
from fracjax.inference.model_bundle import epochs_of
from fracjax.runtime.atomic_files import read_json, write_json
from fracjax.training.checkpoint import CheckpointMetadata

LOOKS = "test_looks.json"


def record_look(folder: Path, metas: Sequence[CheckpointMetadata]) -> None:
    """Count an evaluation of the test part, in a run's folder, or that it is evaluated into."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    look = {"time": now, "epoch": epochs_of(metas), "split_hash": metas[0].split_hash}
    write_json(folder / LOOKS, {"looks": [*read_looks(folder), look]})


def read_looks(folder: Path) -> list[dict[str, Any]]:
    """Every look so far, the first first: when, at which epoch's network, on which split."""
    path, way_out = folder / LOOKS, "restore that file; deleted, the count begins anew"
    if not path.is_file():
        return []
    looks = read_json(path, way_out).get("looks")
    if not isinstance(looks, list):
        raise InputError(f"{path} is damaged (no list of looks); {way_out}")
    return looks
