"""A prepared dataset whose files are damaged says so in one line, or is what it was."""

import json
import random
import sys
import zipfile

import pytest

from fracjax.datasets.audit import examine
from fracjax.datasets.earlier import read_earlier
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import VERSION, open_prepared
from fracjax.datasets.request import Request
from fracjax.datasets.sources.archive import Source
from fracjax.datasets.sources.folder import folder
from fracjax.datasets.splits import Split
from fracjax.errors import InputError
from tests.damages import damaged, or_refusal
from tests.datasets.trees import encode, picture

FILES = ("manifest.csv", "splits.json", "studies.json", "SHA256SUMS",
         f"{VERSION}/dataset_info.json", f"{VERSION}/features.json", "records")  # fmt: skip


def content(folder) -> list:
    """All that a run takes from a dataset."""
    prepared = open_prepared(folder.name, folder.parent)
    split = Split.load(folder / "splits.json")
    split.check(prepared)
    images = [prepared.image_bytes(i) for i in range(len(prepared))]
    columns = {name: column.tolist() for name, column in prepared.attributes.items()}
    boxes = [it.tolist() for it in prepared.boxes]
    return [
        *(prepared.name, prepared.study.tolist(), prepared.label.tolist(), split.hash),
        *(images, columns, boxes),
    ]


@pytest.mark.parametrize(("file", "of", "to"), [
    ("manifest.csv", b",normal,", b",fractured,"),
    ("studies.json", b'"hand": 1', b'"hand": 0'),
    ("studies.json", b"0.", b"1."),
])  # fmt: skip
def test_one_changed_value_is_seen(copy, file, of, to):
    assert open_prepared(copy.name, copy.parent).name == copy.name
    data = (copy / file).read_bytes()
    assert of in data
    (copy / file).write_bytes(data.replace(of, to, 1))
    with pytest.raises(InputError, match=rf"\({file}: SHA256SUMS says that it has changed"):
        open_prepared(copy.name, copy.parent)


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_in_one_line_with_what_to_type(copy, file):
    whole = content(copy)
    path = next(copy.glob(f"{VERSION}/*array_record*")) if file == "records" else copy / file
    data, refused = path.read_bytes(), 0
    for seed in range(60):
        path.write_bytes(damaged(data, seed))
        found, said = or_refusal(content, copy)
        refused += bool(said)
        assert "\n" not in said
        assert "prepare" in said or not said
        if not said:
            assert found == whole, seed
    if "info" not in file and "features" not in file:  # which nobody reads
        assert refused > 30


def test_no_description_beside_the_records_has_a_module_imported(copy, tmp_path, monkeypatch):
    (tmp_path / "planted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = copy / VERSION / "features.json"
    features = json.loads(path.read_text())
    text = json.dumps(features).replace(
        "tensorflow_datasets.core.features.text_feature.Text", "planted_module.Text"
    )
    assert "planted_module" in text
    path.write_text(text)
    prepared = open_prepared("fracatlas", copy.parent)
    assert len(prepared.image_bytes(0)) > 100
    assert "planted_module" not in sys.modules


def test_a_record_that_is_another_file_than_was_audited_is_refused(copy, tmp_path):
    """Records of another preparation, in place of these."""
    prepare(Request("phantom", data_dir=tmp_path / "other", count=20, side=32))
    (theirs,) = (tmp_path / "other/phantom" / VERSION).glob("*array_record*")
    (ours,) = (copy / VERSION).glob("*array_record*")
    ours.write_bytes(theirs.read_bytes())
    prepared = open_prepared("fracatlas", copy.parent)
    with pytest.raises(InputError, match=r"is not the file that was audited; .*fracjax prepare"):
        prepared.image_bytes(0)


def test_a_lost_file_of_records_is_missed(copy):
    (path,) = (copy / VERSION).glob("*array_record*")
    path.rename(path.with_name(path.name.replace("of-00001", "of-00002")))
    with pytest.raises(InputError, match=r"are damaged \(found .*of-00002 of its files\); prepare"):
        open_prepared("fracatlas", copy.parent).image_bytes(0)


def test_a_new_preparation_over_a_damaged_one_says_so(copy):
    for name in ("studies.json", "splits.json", "manifest.csv"):
        data = (copy / name).read_bytes()
        for seed in range(10):
            (copy / name).write_bytes(damaged(data, seed))
            assert "\n" not in or_refusal(read_earlier, copy)[1]
        (copy / name).write_bytes(data)


def test_a_damaged_member_of_a_zip_is_refused_by_name_and_the_others_are_read(tmp_path):
    pictures = {
        f"{it}/{i}.bmp": encode(picture(i + 9 * (it == "b")), "BMP")
        for i in range(3)
        for it in "ab"
    }
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pictures.items():
            archive.writestr(name, data)
    whole = (tmp_path / "z.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "z.zip") as archive:
        at = archive.getinfo("a/1.bmp").header_offset + 30 + len("a/1.bmp")
    for seed in range(20):
        change = random.Random(seed).randbytes(64)
        (tmp_path / "z.zip").write_bytes(whole[:at] + change + whole[at + 64 :])
        rows = examine(
            folder(Request("folder", classes=("a", "b")), tmp_path / "z.zip").studies, None
        )
        refused = {row.path: row.reason for row in rows if row.status == "refused"}
        assert refused.keys() == {"a/1.bmp"}
        assert "cannot be read from the zip" in refused["a/1.bmp"]


def test_a_damaged_zip_is_named_in_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in "ab":
            archive.writestr(f"{name}/0.png", encode(picture(1), "PNG"))
    data = (tmp_path / "z.zip").read_bytes()
    for seed in range(60):
        (tmp_path / "z.zip").write_bytes(damaged(data, seed))
        assert "\n" not in or_refusal(Source, tmp_path / "z.zip")[1]
