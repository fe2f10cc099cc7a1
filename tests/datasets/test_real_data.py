"""Facts about the published files themselves; skipped where FRACJAX_DATA does not name them."""

import csv
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fracjax.datasets.audit import examine
from fracjax.datasets.duplicates import similarity_of
from fracjax.datasets.sources.bone_break import CLASSES, bone_break
from fracjax.datasets.sources.fracatlas import fracatlas
from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.read import open_image
from fracjax.imaging.resize import ImageFormat, decode, reduced_side

DATA = os.environ.get("FRACJAX_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="FRACJAX_DATA names no folder of real radiographs")


def folder(name: str) -> Path:
    return Path(DATA or "") / name


def test_the_truncated_files_of_fracatlas_are_refused_and_no_other():
    studies = fracatlas(folder("fracatlas")).studies
    # A JPEG ends with this marker; 23 others lack only that, and all their rows are there.
    suspect = [study for study in studies if b"\xff\xd9" not in study.read()[-64:]]
    assert len(suspect) == 82
    refused = [row for row in examine(suspect, None) if row.status == "refused"]
    assert len(refused) == 59
    assert {row.label for row in refused} == {"normal"}
    assert all(row.reason.startswith("truncated: ") for row in refused)
    others = [study for study in studies if study not in suspect][::40]
    assert all(row.status == "taken" for row in examine(others, None))


def test_fracatlas_conflicts_are_refused_by_name():
    studies = fracatlas(folder("fracatlas")).studies
    # Three fractures are pixel-identical to normal ones, one of them to two.
    same = ["IMG0002886", "IMG0004243", "IMG0002998", "IMG0004280",
            "IMG0003034", "IMG0004314", "IMG0004341"]  # fmt: skip
    rows = examine([study for study in studies if study.study in same], None)
    assert len(rows) == 7
    assert all(row.reason.startswith("label conflict") for row in rows)


def test_fracatlas_boxes_fit_the_displayed_pictures():
    studies = fracatlas(folder("fracatlas")).studies
    boxes = np.concatenate([study.boxes for study in studies])
    with (folder("fracatlas") / "dataset.csv").open() as file:
        assert len(boxes) == sum(int(row["fracture_count"]) for row in csv.DictReader(file))
    assert (boxes[:, :2] < boxes[:, 2:]).all()


@pytest.mark.parametrize("side, step, at_least", [(32, 4, 900), (46, 4, 900), (64, 1, 600)])
def test_a_reduced_decode_stays_within_its_bound(side, step, at_least):
    """As stated in `imaging.resize`, on all radiographs that are large enough for that side."""
    files = [p for name in ("fracatlas", "bone_break") for p in sorted(folder(name).rglob("*.jpg"))]
    reduced = 0
    for path in files[::step]:
        data = path.read_bytes()
        with suppress(OSError), Image.open(path) as image:
            if min(image.size) < 2 * reduced_side(side):
                continue
        with suppress(Unreadable):  # the truncated ones
            exact = np.asarray(open_image(data).resized(side, side).convert("L")).astype(int)
            assert open_image(data, at_least=reduced_side(side)).scale > 1
            error = np.abs(decode(data, ImageFormat(side))[..., 0] - exact)
            assert error.max() <= 12, path
            assert error.mean() <= 0.5, path
            reduced += 1
    assert reduced > at_least


def test_colour_is_rare_and_never_in_fracatlas():
    colours = {}
    for name, source in (("fracatlas", fracatlas), ("bone_break", bone_break)):
        rows = examine(source(folder(name)).studies[::5], None)
        colours[name] = np.mean([row.channels == 3 for row in rows if row.status == "taken"])
    assert colours["fracatlas"] == 0
    assert 0.1 < colours["bone_break"] < 0.2


def test_known_copies_in_bone_break_join_and_its_groups_stay_small():
    studies = bone_break(folder("bone_break")).studies
    rows = examine(
        [study for study in studies if study.label in CLASSES[5:7]], similarity_of("bone_break")
    )
    assert {row.status for row in rows} == {"taken"}
    assert max(Counter(row.group for row in rows).values()) <= 6
    # One spiral fracture of the femur, impacted here and longitudinal there.
    ends = "6f1a6bd4e56c2f10c48ba98921ed533f.jpg", "497d0755d1e5bc96e3f209848b393018.jpg"
    first, second = (row.group for row in rows if row.study.endswith(ends))
    assert first == second
