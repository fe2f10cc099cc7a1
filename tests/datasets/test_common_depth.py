"""One depth for all files of a dataset that declare none: chosen, kept, obeyed, and noted."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.config import Config, Data
from fracjax.datasets.audit import examine
from fracjax.datasets.common_depth import common_depth, described
from fracjax.datasets.labelled_folder import open_labelled
from fracjax.datasets.leakage import Studies
from fracjax.datasets.prepare import Summary, prepare
from fracjax.datasets.prepared import STUDIES, SUMS, Prepared, open_prepared, read_manifest
from fracjax.datasets.request import Request, check
from fracjax.datasets.sources.archive import Study
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat, decode, decode_each
from fracjax.inference import external_notes
from fracjax.loading.dataset_view import open_dataset
from fracjax.models.backbone import ImageSpec
from fracjax.training import loop
from fracjax.training.checkpoint import CheckpointMetadata
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, picture, write

CLASSES = ("healthy", "broken")
DEEP = "depth: nothing is declared; read as {} bits, as all such files of the dataset, but 99 % of "


def deep(seed: int, most: int) -> np.ndarray:
    """A limb whose brightest two hundredths are at `most`: an exposure of so many."""
    limb = picture(seed).astype(float)
    return np.rint(limb * most / np.quantile(limb, 0.98)).clip(0, most).astype(np.uint16)


def png(seed: int, most: int) -> bytes:
    return encode(deep(seed, most), "PNG")


def notes(files: Sequence[bytes], **options) -> list[str]:
    studies = [Study(f"{i}", f"{i}", "x", lambda data=data: data) for i, data in enumerate(files)]
    return [row.note for row in examine(studies, None, **options)]


def prepared_of(root: Path, files: Sequence[bytes], **options) -> tuple[Summary, Prepared]:
    """A folder of two classes, to which the files go in turn."""
    for i, data in enumerate(files):
        write(root / "mine" / CLASSES[i % 2] / f"{i:02d}", data)
    request = Request("folder", root / "mine", data_dir=root / "data", classes=CLASSES, **options)
    return prepare(request), open_prepared("folder", root / "data")


@pytest.mark.parametrize(
    ("bits", "depth"),
    [
        ([], None),
        ([10], 12),
        ([8, 8], 8),
        ([10, 11], 12),  # maxima of 1000 and 1100
        ([12, 13], 14),  # of 4000 and 4400
        ([12] * 10 + [16], 12),
        ([12] * 9 + [16], 12),  # 90 %
        ([12] * 8 + [13], 14),
        ([13] * 17 + [12] * 3 + [16] * 3, 16),  # 87 %; three would keep 1/16
        ([12] * 6 + [13] * 5 + [16] * 2, 16),  # six of 13 would, which is no half
        ([12, 16], None),
        ([8, 9], None),  # 255 of 4095 is 1/16
        ([9, 9, 8], 12),
        ([20] * 3, 20),
    ],
)
def test_the_rule_by_hand(bits, depth):
    assert common_depth(bits) == depth


@pytest.mark.parametrize("least", [1000, 4000, 15000])
def test_two_exposures_of_one_limb_come_out_in_their_ratio(least):
    """Though the brighter one alone, read by itself, may need the next depth, and be darker."""
    files = [png(1, least), png(1, least * 11 // 10)]
    studies = [Study(f"{i}", f"{i}", "x", lambda data=data: data) for i, data in enumerate(files)]
    rows = examine(studies, None)
    form = ImageFormat(96, "pad", depth=common_depth([row.undeclared_bits for row in rows]))
    dark, bright = (decode(data, form).astype(float).mean() for data in files)
    assert bright / dark == pytest.approx(1.1, abs=0.02)


def test_an_outlier_is_clipped_and_noted_and_changes_no_other_file():
    files = [*(png(i, 3000) for i in range(10)), png(10, 60000)]
    *others, outlier = notes(files)
    assert others == [""] * 10
    first, second = outlier.split("; depth: ")
    assert first == DEEP.format(12) + "the values need 16"
    assert second.endswith("lie outside 0 to 4095 (0 to 60000) and are clipped")
    assert notes(files[:10]) == others
    read, _ = decode_each(files[10], [ImageFormat(96, depth=12)])
    assert "; ".join(read.notes) == outlier  # so says prediction


def test_files_of_two_detectors_are_each_read_by_themselves_and_the_summary_says_what_to_do():
    bits = [12] * 6 + [16] * 5
    assert common_depth(bits) is None
    found = notes([png(i, 3000) for i in range(6)] + [png(i, 60000) for i in range(6, 11)])
    assert found[:6] == [""] * 6
    expected = "depth: nothing is declared; read as 16 bits, but 6 other files here as 12"
    assert set(found[6:]) == {expected}
    said = described(None, bits)
    assert said.startswith("each read by itself, for none is common to them (6 of 12 bits, 5 of 16")
    assert "prepare again with --depth and its bits" in said
    assert described(None, []) == ""
    assert described(12, [12, 13, 8]) == (
        "read as 12 bits: 3 (1 of more bits, clipped; 1 of fewer, dark)"
    )


def test_what_is_declared_and_what_has_eight_bits_is_never_changed():
    """By no depth of a dataset; a window or a table says the greys, too."""
    twelve = deep(0, 3000)
    files = {
        "grey": encode(picture(0)),
        "colour": encode(np.stack([picture(2), picture(3), picture(4)], axis=-1)),
        "PNG": encode(picture(0), "PNG"),
        "BitsStored": dicom(twelve, BitsStored=12),
        "eight": dicom(picture(0)),
        "signed": dicom(picture(0).view(np.int8)),
        "window": dicom(twelve, WindowCenter=1500, WindowWidth=3000),
    }
    for name, data in files.items():
        alone, common = (ImageFormat(64, channels=3, depth=depth) for depth in (None, 16))
        (before, square), (after, other) = (decode_each(data, [form]) for form in (alone, common))
        assert_array_equal(square[0], other[0], err_msg=name)
        assert (before.notes, before.undeclared_bits) == (after.notes, 0), name


@pytest.mark.parametrize(
    "write_values",
    [
        lambda values: encode(values, "PNG"),
        lambda values: encode(values, "TIFF"),
        lambda values: dicom(values, BitsStored=16),
        lambda values: dicom(np.stack([values] * 3, axis=-1)),
    ],
    ids=["PNG", "TIFF", "DICOM", "colour"],
)
def test_every_kind_of_file_that_declares_nothing_is_read_by_the_depth(write_values):
    values = deep(0, 3000)
    data = write_values(values)
    for depth in (10, 14, 16):
        square = decode(data, ImageFormat(96, "pad", depth=depth))[:, 8:88, 0]
        expected = np.rint(values.clip(0, 2**depth - 1) * (255 / (2**depth - 1)))
        assert np.abs(square - expected).max() <= 1  # of colour, the luma
    forms = [ImageFormat(96, "pad", depth=depth) for depth in (14, None)]
    read, squares = decode_each(data, forms)
    assert_array_equal(squares[1], decode(data, forms[1]))  # one file, two stages
    assert read.undeclared_bits == 12


@pytest.fixture(scope="module")
def one_outlier(tmp_path_factory) -> tuple[Summary, Prepared, Data]:
    """Ten files of 12 bits, one of 16, and a JPEG."""
    root = tmp_path_factory.mktemp("depth")
    files = [*(png(i, 3000) for i in range(10)), png(10, 60000), encode(picture(11))]
    summary, prepared = prepared_of(root, files)
    return summary, prepared, Data("folder", root / "data", classes=CLASSES, image_size=24)


def test_the_depth_of_a_dataset_is_what_its_images_are_decoded_by(one_outlier):
    summary, prepared, data = one_outlier
    assert prepared.depth == 12
    said = "files without a declared depth: read as 12 bits: 11 (1 of more bits, clipped)"
    assert said in str(summary)
    rows = {row.study: row for row in read_manifest(prepared.manifest_path)}
    assert rows["healthy/10"].undeclared_bits == 16
    assert rows["broken/11"].undeclared_bits == 0
    view = open_dataset(data)
    assert view.form == ImageFormat(24, depth=12)
    train = view.part("train")
    stored = [prepared.image_bytes(int(at)) for at in view.indices("train")]
    assert_array_equal(train.images(), np.stack([decode(it, view.form) for it in stored]))


def test_a_run_is_told_the_depth_of_its_dataset(one_outlier, tmp_path, monkeypatch):
    told = []

    class Told(Exception):
        pass

    def facts(new):
        told.extend(new)
        raise Told

    monkeypatch.setattr(loop.checks, "shared_facts", facts)
    with pytest.raises(Told):
        loop.fit_members(Config(tmp_path / "run", data=one_outlier[2]), loop.Console(quiet=True))
    (meta,) = told
    assert meta.form == ImageFormat(24, depth=12)
    assert CheckpointMetadata.from_dict(json.loads(json.dumps(meta.to_dict()))).form == meta.form
    now = dataclasses.replace(meta, depth=14)
    expected = r"read as 12 bits, but folder now has them read as 14 bits; .* with --depth 12, or"
    with pytest.raises(InputError, match=expected):
        meta.check_continues(now)
    with pytest.raises(InputError, match=r"read each by itself, .* prepare the dataset as it was"):
        dataclasses.replace(meta, depth=None).check_continues(now)


def test_a_dataset_that_declares_all_has_no_depth(tmp_path):
    """A run on it reads a file that declares nothing by its own values."""
    files = [dicom(deep(i, 3000), BitsStored=12) for i in range(6)]
    files += [encode(picture(i)) for i in range(6, 12)]
    summary, prepared = prepared_of(tmp_path, files)
    assert prepared.depth is None
    assert "declared depth" not in str(summary)
    form = open_dataset(Data("folder", tmp_path / "data", classes=CLASSES)).form
    assert form.depth is None
    alone = png(30, 3000)
    assert_array_equal(decode(alone, form), decode(alone, dataclasses.replace(form, depth=12)))


def test_the_depth_is_as_written_and_is_not_changed_unasked(tmp_path):
    files = [png(i, 3000) for i in range(12)]
    summary, prepared = prepared_of(tmp_path, files, depth=14)
    assert prepared.depth == 14
    assert "read as 14 bits: 12 (12 of fewer, dark)" in str(summary)
    (first, *_) = read_manifest(prepared.manifest_path)
    assert first.note == DEEP.format(14) + "the values fit into 12"
    more = [*files, png(12, 3000)]
    with pytest.raises(InputError) as caught:
        prepared_of(tmp_path, more)
    change = "read as 12 bits, and were as 14 bits (--depth 14 keeps that). Write --replace"
    assert change in str(caught.value)
    summary, prepared = prepared_of(tmp_path, more, depth=14)
    assert (summary.kept, prepared.depth) == (12, 14)
    content = json.loads((prepared.directory / STUDIES).read_text())
    del content["depth"]  # as before version 3, when each was read by itself
    (prepared.directory / STUDIES).write_text(json.dumps(content))
    (prepared.directory / SUMS).unlink()
    with pytest.raises(InputError, match=r"earlier version .*'depth'.*fracjax prepare folder"):
        open_prepared("folder", tmp_path / "data")
    assert prepared_of(tmp_path, more)[1].depth == 12
    _, prepared = prepared_of(tmp_path, more, depth=16, replace=True)
    assert prepared.depth == 16


def test_flags_that_are_no_depth():
    for depth in (7, 32):
        with pytest.raises(
            InputError, match=f"--depth is {depth}: expected .* 8 to 31, such as 12"
        ):
            check(Request("folder", Path("x"), depth=depth))
    with pytest.raises(InputError, match="--depth is only for fracatlas, bone_break"):
        check(Request("phantom", depth=12))


def test_another_dataset_is_read_by_the_depth_of_the_run_and_what_does_not_fit_is_said(tmp_path):
    for i, most in enumerate((3000, 200, 60000, 60000)):
        write(tmp_path / "on" / CLASSES[i % 2] / f"{i}.png", png(i, most))

    def said(depth: int | None) -> tuple[str, list[str]]:
        folder, _ = open_labelled(tmp_path / "on", CLASSES, lambda _: CLASSES, depth)
        image = ImageSpec(side=8, channels=1, low=0.0, high=1.0, smallest=8)
        meta = CheckpointMetadata(Config(), image, "split", depth=depth)
        studies = Studies("on", folder, np.arange(len(folder)))
        return external_notes.depths_note(meta, studies), [
            row.note for row in read_manifest(folder.manifest_path)
        ]

    note, by_file = said(12)
    assert note == (
        "Files that declare no depth are read as in the training of the run, as 12 bits: 4 studies "
        "(2 of more bits, clipped; 1 of fewer, dark)."
    )
    assert sum("need 16" in note for note in by_file) == 2
    note, by_file = said(None)
    assert note == (
        "Files that declare no depth are read as in the training of the run, each by itself: 4 of "
        "these studies."
    )
    assert said(16)[0].endswith("as 16 bits: 4 studies (2 of fewer, dark).")
