import json
import math
from dataclasses import dataclass

import numpy as np

from fracjax.runtime.atomic_files import to_json


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
