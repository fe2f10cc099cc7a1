import json
import math
from dataclasses import dataclass

import numpy as np

from fracjax.runtime.atomic_files import read_json, to_json, write_json


@dataclass(frozen=True)
class _Inner:
    ends: tuple[float, ...]


@dataclass(frozen=True)
class _Record:
    name: str
    inner: _Inner
    curve: np.ndarray
    none: None = None


def test_records_become_strict_json():
    record = _Record(
        "a", _Inner((0.1 + 0.2, math.inf, -math.inf, math.nan)), np.array([1.0, np.nan])
    )
    made = to_json({"rows": (record, np.int64(3), np.float64(np.inf), True)})
    assert json.loads(json.dumps(made, allow_nan=False)) == {
        "rows": [
            {
                "name": "a",
                "inner": {"ends": [0.1 + 0.2, "inf", "-inf", None]},
                "curve": [1.0, None],
                "none": None,
            },
            3,
            "inf",
            True,
        ]
    }


def test_json_is_written_into_a_folder_that_is_not_there_yet(tmp_path):
    path = tmp_path / "new" / "results" / "it.json"
    write_json(path, {"a": 1})
    assert read_json(path, "") == {"a": 1}
    assert [it.name for it in path.parent.iterdir()] == ["it.json"]
