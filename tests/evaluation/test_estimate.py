import json

import pytest

from fracjax.evaluation import Estimate
from fracjax.runtime.atomic_files import to_json


@pytest.mark.parametrize(
    "value, low, high, text",
    [
        (0.912, 0.8812, 0.9378, "0.912 [0.88, 0.94] n=613"),
        (1.0, 0.9527, 1.0, "1.000 [0.95, 1.00] n=613"),
        (-0.1, -0.213, 0.02, "-0.100 [-0.21, 0.02] n=613"),
        # Two decimals would print an interval without a width, or one beside its value.
        (0.999, 0.9962, 0.9996, "0.999 [0.996, 1.000] n=613"),
        (0.953, 0.9461, 0.9549, "0.953 [0.946, 0.955] n=613"),
        (0.99996, 0.99992, 0.99999, "1.000 [0.9999, 1.0000] n=613"),
    ],
)
def test_text(value, low, high, text):
    assert str(Estimate(value, low, high, 613, "Wilson")) == text


def test_what_is_missing_is_named():
    assert str(Estimate(None, None, None, 0, "Wilson")) == "undefined n=0"
    assert str(Estimate(0.5, None, None, 4, "bootstrap")) == "0.500 [no interval] n=4"


def test_json_round_trip():
    for estimate in (
        Estimate(0.1 + 0.2, 0.1, 1 / 3, 7, "Wilson"),
        Estimate(None, None, None, 0, ""),
    ):
        assert Estimate(**json.loads(json.dumps(to_json(estimate)))) == estimate
