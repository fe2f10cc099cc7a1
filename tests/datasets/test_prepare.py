"""All of it or nothing; and what a user reads when there is nothing."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from fracjax.config import Data
from fracjax.datasets import prepare as prepare_module
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import DECODED, SPLITS, VERSION, open_prepared
from fracjax.datasets.request import Request, check, how_to
from fracjax.datasets.splits import PARTS, Split
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset
from tests.cli_runner import run_cli
from tests.datasets.trees import encode, fracatlas_tree, picture, write


@pytest.mark.parametrize("name", ["phantom", "phantom_types", "fracatlas", "bone_break", "mine"])
def test_a_missing_dataset_is_answered_with_one_line_and_the_command(tmp_path, name):
    with pytest.raises(InputError) as caught:
        open_prepared(name, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"dataset '{name}' is not prepared: no {tmp_path / name}; ")
    asked = "folder" if name == "mine" else name
    assert f"fracjax prepare {asked} --data-dir {tmp_path}" in message


def test_what_to_fetch_by_hand_and_what_to_type():
    assert how_to("fracatlas", Path("data")) == (
        "download FracAtlas.zip (about 323 MB, CC BY 4.0) by hand from "
        "https://figshare.com/articles/dataset/The_dataset/22363012, then run: "
        "fracjax prepare fracatlas --data-dir data --source ZIP_OR_UNPACKED_FOLDER"
    )
    assert "https://www.kaggle.com/" in how_to("bone_break", Path("data"))
    assert "--save-as mine" in how_to("mine", Path("data"))


def test_flags_that_do_not_belong_are_all_named():
    request = Request("phantom", source=Path("x"), classes=("a", "b"), save_as="y")
    with pytest.raises(InputError, match=r"--source is only.*--save-as is only.*--classes is only"):
        check(request)
    with pytest.raises(
        InputError, match=r"--count is only for phantom, .*--source is needed: sign"
    ):
        check(Request("bone_break", count=3))
    for name in ("phantom", "..", "a/b", ""):
        with pytest.raises(InputError, match="expected a plain name of its own"):
            check(Request("folder", source=Path("x"), save_as=name))


def test_phantoms_too_few_or_too_small_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"--count 3: .*; --side 8: .*; --seed -1: expected 0"):
        prepare(Request("phantom", data_dir=tmp_path, count=3, side=8, seed=-1))


class Interrupted(BaseException):
    """As KeyboardInterrupt, which pytest would take for its own."""


class Interrupting(dict):
    def items(self):
        yield from list(super().items())[:5]
        raise Interrupted


@pytest.mark.parametrize("step", ["records", "manifest", "split"])
def test_an_interrupted_preparation_leaves_nothing(tmp_path, source, monkeypatch, step):
    interrupt(monkeypatch, step)
    with pytest.raises(Interrupted):
        prepare(Request("fracatlas", source=source, data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="is not prepared"):
        open_prepared("fracatlas", tmp_path)


def test_an_interrupted_preparation_keeps_the_earlier_one_and_a_whole_one_replaces_it(
    tmp_path, source, summary, copy, monkeypatch
):
    write(copy / DECODED / "cache", b"x")
    request = Request(
        "fracatlas", source=source, data_dir=tmp_path, seed=7, replace=True, new_split=True
    )
    for step in ("records", "split"):
        with monkeypatch.context() as patch:
            interrupt(patch, step)
            with pytest.raises(Interrupted):
                prepare(request)
        open_prepared("fracatlas", tmp_path)
        assert Split.load(copy / SPLITS).hash == summary.split_hash
        assert (copy / DECODED / "cache").exists()
    again = prepare(request)
    assert Split.load(copy / SPLITS).hash == again.split_hash != summary.split_hash
    assert not (copy / DECODED).exists()  # a cache goes with the preparation it belongs to
    assert [path.name for path in tmp_path.iterdir()] == ["fracatlas"]


def interrupt(monkeypatch, step: str) -> None:
    def stop(*_, **__):
        raise Interrupted

    if step == "records":
        # in the middle of the records, after some are on disk
        write_all = prepare_module.write_records

        def write_some(contents, taken, data_dir):
            return write_all(contents, Interrupting(taken), data_dir)

        monkeypatch.setattr(prepare_module, "write_records", write_some)
    else:
        name = {"manifest": "write_manifest", "split": "make_split"}[step]
        monkeypatch.setattr(prepare_module, name, stop)


@pytest.mark.parametrize(
    "lost", ["manifest.csv", "splits.json", "studies.json", f"{VERSION}/dataset_info.json"]
)
def test_an_incomplete_dataset_does_not_open(tmp_path, copy, lost):
    (copy / lost).unlink()
    with pytest.raises(InputError, match=r"fracjax prepare fracatlas"):
        open_prepared("fracatlas", tmp_path)


def test_records_of_another_version_are_refused_and_may_be_replaced(tmp_path, copy):
    (copy / VERSION).rename(copy / "1.0.0")
    expected = rf"records of 1.0.0, this one's are {VERSION}\), .*fracjax prepare fracatlas"
    with pytest.raises(InputError, match=expected):
        open_prepared("fracatlas", tmp_path)
    prepare_module._check_replaceable(copy, None)
    (copy / "mine").mkdir()
    with pytest.raises(InputError, match="holds what no preparation wrote: mine"):
        prepare_module._check_replaceable(copy, None)


def test_a_manifest_of_an_earlier_version_is_answered_with_the_command(tmp_path, copy):
    path = copy / "manifest.csv"
    kept = path.read_text()
    path.write_text(kept.replace(",channels,", ",x,"))
    with pytest.raises(InputError, match=r"manifest.csv: SHA256SUMS says that it has changed"):
        open_prepared("fracatlas", tmp_path)
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(
        InputError,
        match=r"earlier version \(manifest.csv: columns missing: channels\); "
        r".*fracjax prepare fracatlas",
    ):
        open_prepared("fracatlas", tmp_path)
    lines = kept.splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(InputError, match=r"earlier version .*1 records missing, first IMG"):
        open_prepared("fracatlas", tmp_path)


def test_opening_reads_no_image(tmp_path, copy):
    records = list(copy.glob(f"{VERSION}/*array_record*"))
    assert records
    for path in records:
        path.write_bytes(b"")
    dataset = open_dataset(Data("fracatlas", dir=tmp_path, classes=("normal", "fracture")))
    assert len(dataset.prepared) == 14
    assert sum(len(dataset.indices(part)) for part in PARTS) == 14


def test_a_split_is_checked_when_the_dataset_is_opened(tmp_path, copy):
    split = Split.load(copy / SPLITS)
    gone = min(split.assignment)
    fewer = {study: part for study, part in split.assignment.items() if study != gone}
    replace(split, assignment=fewer).save(copy / SPLITS)
    data = Data("fracatlas", dir=tmp_path, classes=("normal", "fracture"))
    with pytest.raises(InputError, match=f"1 studies have no part: {gone}"):
        open_dataset(data)


def test_each_record_has_the_digest_of_its_bytes_and_a_copy_by_pickle_reads_on(summary):
    prepared = open_prepared("fracatlas", summary.directory.parent)
    digests = [hashlib.sha256(prepared.image_bytes(i)).hexdigest() for i in range(len(prepared))]
    assert prepared.sha256.tolist() == digests
    assert not prepared.colour.any()
    copy = pickle.loads(pickle.dumps(prepared))
    assert copy.image_bytes(3) == prepared.image_bytes(3)
    assert copy.study.tolist() == prepared.study.tolist()


def test_a_users_files_are_never_replaced(tmp_path):
    tree = fracatlas_tree(tmp_path / "fracatlas")
    with pytest.raises(InputError, match=r"lies in .*choose another --data-dir"):
        prepare(Request("fracatlas", source=tree, data_dir=tmp_path))
    elsewhere = fracatlas_tree(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="holds what no preparation wrote: Annotations, dataset"):
        prepare(Request("fracatlas", source=elsewhere, data_dir=tmp_path))
    assert (tree / "dataset.csv").exists()


def test_the_same_source_gives_the_same_dataset(tmp_path, source, summary):
    prepare(Request("fracatlas", source=source, data_dir=tmp_path))
    for name in ("manifest.csv", "splits.json", "studies.json", "SHA256SUMS"):
        again = (tmp_path / "fracatlas" / name).read_bytes()
        assert again == (summary.directory / name).read_bytes()


def test_two_copies_of_one_picture_lie_in_one_part(tmp_path):
    root = tmp_path / "mine"
    for i in range(12):
        for label in ("a", "b"):
            pixels = picture(100 * i + (label == "b"), 200, 160)
            write(root / label / f"{i}.jpg", encode(pixels))
            write(root / label / f"{i}_again.jpg", encode(pixels[::-1].copy(), quality=60))
    summary = prepare(Request("folder", source=root, data_dir=tmp_path, classes=("a", "b")))
    assert summary.groups == (24, 48)
    split = Split.load(tmp_path / "folder" / "splits.json")
    for study, part in split.assignment.items():
        assert split.assignment[study.replace("_again", "")] == part


def test_the_command_prints_what_it_did_or_one_line(tmp_path, source):
    done = run_cli("prepare", "fracatlas", "--source", source, "--data-dir", tmp_path)
    assert done.returncode == 0
    for line in (
        "studies taken: 14",
        "  normal: 8",
        "files refused: 0",
        "files with a note: 0",
        "near-duplicate groups: 0 (0 studies)",
        f"manifest: {tmp_path / 'fracatlas' / 'manifest.csv'}",
    ):
        assert line in done.stdout.splitlines()
    done = run_cli("prepare", "fracatlas", "--source", tmp_path / "none", "--data-dir", tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "found nothing, expected a zip or its unpacked folder" in line
