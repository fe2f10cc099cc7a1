"""Which studies belong together, which part they are of, and what a second preparation keeps."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fracjax.datasets.audit import examine
from fracjax.datasets.make_split import make_split
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import MANIFEST, SPLITS, Prepared, open_prepared
from fracjax.datasets.request import Request
from fracjax.datasets.sources.archive import Study
from fracjax.datasets.splits import PARTS, Split
from fracjax.errors import InputError
from tests.datasets.trees import encode, picture, write

CLASSES = ("normal", "fracture")
PATIENTS = 12


def tree(root: Path, patients: range = range(PATIENTS)) -> Path:
    """Of each patient two normal images and a fracture: three pictures that look not alike."""
    for patient in patients:
        for i, label in enumerate(("normal", "normal", "fracture")):
            data = encode(picture(10 * patient + i, 48, 40), "PNG")
            write(root / label / f"{patient}_{i}.png", data)
    return root


def table(root: Path, columns: dict[str, dict[str, str]]) -> Path:
    """A CSV of columns: {name: {file: value}}, of all files of a tree."""
    path = root.parent / f"{root.name}.csv"
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.png"))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *columns])
        writer.writerows([name, *(of.get(name, "") for of in columns.values())] for name in files)
    return path


def patients_of(root: Path) -> dict[str, str]:
    files = (file.relative_to(root).as_posix() for file in root.rglob("*.png"))
    return {name: f"p{Path(name).name.split('_')[0]}" for name in files}


@pytest.fixture
def root(tmp_path) -> Path:
    return tree(tmp_path / "xrays")


def request(root: Path, **options) -> Request:
    return Request("folder", source=root, data_dir=root.parent / "data", classes=CLASSES, **options)


def opened(root: Path) -> tuple[Prepared, Split]:
    prepared = open_prepared("folder", root.parent / "data")
    return prepared, Split.load(prepared.directory / SPLITS)


def test_a_patient_lies_in_one_part_and_is_one_group(root):
    patient = patients_of(root)
    summary = prepare(
        request(root, attributes=table(root, {"patient": patient}), group_by="patient")
    )
    prepared, split = opened(root)
    groups = dict(zip(prepared.study.tolist(), prepared.group.tolist(), strict=True))
    for same in (groups, split.assignment):
        assert {len({same[s] for s in groups if patient[s] == p}) for p in patient.values()} == {1}
    assert len(set(groups.values())) == PATIENTS
    assert prepared.group_by == "patient"
    assert f"groups by patient and near duplicates: {PATIENTS} (36 studies)" in str(summary)


def test_patients_who_share_a_picture_are_one_group(root):
    write(root / "normal" / "0_9.png", (root / "normal" / "1_0.png").read_bytes())
    attributes = table(root, {"patient": patients_of(root)})
    prepare(request(root, attributes=attributes, group_by="patient"))
    prepared, _ = opened(root)
    of = np.array([Path(name).name.split("_")[0] in ("0", "1") for name in prepared.study])
    assert len(set(prepared.group[of])) == 1
    assert len(set(prepared.group)) == PATIENTS - 1


def test_columns_that_are_not_there_reserved_or_incomplete_are_refused(root):
    patient = patients_of(root)
    with pytest.raises(
        InputError, match=r"--group-by patient: there is no such column; .*are visit"
    ):
        prepare(request(root, attributes=table(root, {"visit": patient}), group_by="patient"))
    with pytest.raises(InputError, match=r"may not be called 'group'.*write --group-by patient"):
        prepare(request(root, attributes=table(root, {"group": patient})))
    some = {name: value for name, value in patient.items() if value not in ("p3", "p4")}
    attributes = table(root, {"patient": some, "part": patient})
    with pytest.raises(
        InputError,
        match=r"patient: 6 images have no value: \S+, .* and 1 more; "
        r"--split-by part: 36 images have no part, .*fracture/0_2.png \(p0\)",
    ):
        prepare(request(root, attributes=attributes, group_by="patient", split_by="part"))
    assert list((root.parent / "data").iterdir()) == []


def given(root: Path) -> dict[str, str]:
    """Patients 0 to 5 are for training, 6 to 8 for validation, the others for the test."""
    names = ("Train", "valid", "TEST")
    return {
        name: names[(int(p[1:]) > 5) + (int(p[1:]) > 8)] for name, p in patients_of(root).items()
    }


def test_a_given_split_is_taken_as_it_is(root):
    prepare(request(root, attributes=table(root, {"part": given(root)}), split_by="part"))
    _, split = opened(root)
    meant = {"Train": "train", "valid": "validation", "TEST": "test"}
    assert split.assignment == {name: meant[part] for name, part in given(root).items()}


def test_a_part_that_is_not_given_is_cut_from_train(root):
    parts = {name: "train" if part == "valid" else part for name, part in given(root).items()}
    attributes = table(root, {"part": parts, "patient": patients_of(root)})
    prepare(request(root, attributes=attributes, split_by="part", group_by="patient"))
    _, split = opened(root)
    tested = {name for name, part in split.assignment.items() if part == "test"}
    assert tested == {name for name, part in parts.items() if part == "TEST"}
    held = sum(part == "validation" for part in split.assignment.values())
    assert held == pytest.approx(27 * 0.15 / 0.85, abs=3.1)  # a patient more or less


def test_a_given_split_that_leaks_is_refused_with_the_pairs(root):
    attributes = table(root, {"part": given(root) | {"normal/0_0.png": "test"},
                              "patient": patients_of(root)})  # fmt: skip
    both = {"attributes": attributes, "split_by": "part"}
    prepare(request(root, **both, save_as="apart"))
    with pytest.raises(InputError, match=r"leaks 1 group.*normal/0_0.png in test.*--new-split"):
        prepare(request(root, **both, group_by="patient"))
    write(root / "normal" / "11_9.png", encode(picture(10, 48, 40)[::-1], "PNG"))  # of patient 1
    attributes = table(root, {"part": given(root)})
    with pytest.raises(InputError, match=r"normal/11_9.png in test, normal/1_0.png in train"):
        prepare(request(root, attributes=attributes, split_by="part"))


def parted(root: Path) -> Path:
    """The same images below folders of their parts."""
    top = root.parent / "parted"
    for name, part in given(root).items():
        write(top / part / name, (root / name).read_bytes())
    return top


def test_folders_of_parts_on_top_are_a_given_split(root):
    top = parted(root)
    prepare(request(top))
    prepared, split = opened(root)
    assert prepared.classes == CLASSES
    meant = {"Train": "train", "valid": "validation", "TEST": "test"}
    assert split.assignment == {f"{part}/{name}": meant[part] for name, part in given(root).items()}
    assert [sum(count.values()) for count in split.counts.values()] == [18, 9, 9]
    with pytest.raises(InputError, match=r"--split-by x: .*the folders on top are parts already"):
        prepare(request(top, split_by="x"))
    prepare(request(top, new_split=True, replace=True))
    _, anew = opened(root)
    assert anew.assignment.keys() == split.assignment.keys()
    assert anew.assignment != split.assignment


def test_folders_of_parts_that_leak_or_have_strangers_are_refused(root):
    top = parted(root)
    write(top / "TEST" / "normal" / "copy.png", (root / "normal" / "0_0.png").read_bytes())
    with pytest.raises(InputError, match=r"copy.png in test, Train/normal/0_0.png in train"):
        prepare(request(top))
    write(top / "more" / "normal" / "a.png", b"")
    (top / "Train").rename(top / "dev")
    with pytest.raises(
        InputError, match=r"TEST, dev, valid are parts .*; more beside .*; there is no train"
    ):
        prepare(request(top))


def test_classes_may_be_called_as_parts_are_if_they_are_written(root):
    for part, label in zip(("train", "test"), CLASSES, strict=True):
        (root / label).rename(root / part)
    named = Request("folder", source=root, data_dir=root.parent / "data", classes=("train", "test"))
    assert prepare(named).taken == {"train": 24, "test": 12}


def test_black_exports_are_one_group_however_they_are_stored():
    black = np.zeros((40, 40), np.uint8)
    stored = [encode(black, "PNG", compress_level=level) for level in (0, 1, 9)]
    other = [encode(picture(1, 40, 40), "PNG"), encode(np.zeros((40, 44), np.uint8), "PNG")]
    for similarity in (0.65, None):
        studies = [
            Study(f"{i}.png", f"{i}.png", "normal", lambda data=data: data)
            for i, data in enumerate([*stored, *other])
        ]
        groups = [row.group for row in examine(studies, similarity)]
        assert groups == ["0.png", "0.png", "0.png", "3.png", "4.png"]


def test_preparing_again_keeps_parts_and_adds_what_is_new(root):
    attributes = table(root, {"patient": patients_of(root)})
    first = prepare(request(root, attributes=attributes, group_by="patient"))
    _, before = opened(root)
    tree(root, range(PATIENTS, 2 * PATIENTS))
    write(root / "normal" / "3_9.png", encode(picture(999, 48, 40), "PNG"))
    attributes = table(root, {"patient": patients_of(root)})
    again = prepare(request(root, attributes=attributes, group_by="patient"))
    _, after = opened(root)
    assert {name: after.assignment[name] for name in before.assignment} == before.assignment
    assert after.assignment["normal/3_9.png"] == before.assignment["normal/3_0.png"]
    assert "(36 studies keep the part they had)" in str(again)
    assert "keep the part" not in str(first)
    counts = [sum(count.values()) for count in after.counts.values()]
    assert counts == pytest.approx(np.array([0.7, 0.15, 0.15]) * 73, abs=4)


def test_nothing_is_replaced_unasked(root):
    prepare(request(root))
    before = (root.parent / "data" / "folder" / MANIFEST).read_bytes()
    (root / "normal" / "0_0.png").unlink()
    (root / "normal" / "0_1.png").rename(root / "fracture" / "0_1.png")
    (root / "normal" / "1_0.png").rename(root / "normal" / "x")
    write(root / "normal" / "1_0.png", encode(picture(998, 48, 40), "PNG"))
    write(root / "normal" / "1_1.png", b"damaged")
    with pytest.raises(InputError) as caught:
        prepare(request(root, seed=3))
    message = str(caught.value)
    for part in (
        "is prepared already, and this would replace some of it: ",
        "3 studies would go: normal/0_0.png",
        "normal/1_1.png (",
        "1 study has another file: normal/1_0.png",
        "--seed is 3, and was 0",
        "Write --replace",
    ):
        assert part in message
    assert (root.parent / "data" / "folder" / MANIFEST).read_bytes() == before


def test_replacing_keeps_the_parts_of_what_stays(root):
    prepare(request(root))
    _, before = opened(root)
    (root / "normal" / "0_0.png").unlink()
    prepare(request(root, replace=True))
    _, after = opened(root)
    assert "normal/0_0.png" not in after.assignment
    assert all(before.assignment[name] == part for name, part in after.assignment.items())
    with pytest.raises(InputError, match="--new-split gives studies other parts"):
        prepare(request(root, new_split=True))
    prepare(request(root, replace=True, new_split=True, seed=5))
    _, anew = opened(root)
    assert anew.assignment.keys() == after.assignment.keys()
    assert anew.assignment != after.assignment


def test_other_groups_are_refused_and_so_is_a_file_that_joins_two_parts(root):
    prepare(request(root))
    _, split = opened(root)
    attributes = table(root, {"patient": patients_of(root)})
    with pytest.raises(InputError, match="--group-by is patient, and was left out"):
        prepare(request(root, attributes=attributes, group_by="patient"))
    with pytest.raises(InputError, match=r"what is there and what is new leak .*--new-split"):
        prepare(request(root, attributes=attributes, group_by="patient", replace=True))
    assert Split.load(root.parent / "data" / "folder" / SPLITS).hash == split.hash
    prepare(request(root, attributes=attributes, group_by="patient", replace=True, new_split=True))


def test_a_damaged_dataset_is_not_overwritten(root):
    prepare(request(root))
    (root.parent / "data" / "folder" / SPLITS).write_text("{")
    with pytest.raises(InputError, match=r"is damaged .*move it away"):
        prepare(request(root, replace=True))


def test_added_groups_go_where_their_class_is_lacking():
    # Of 20 studies all lie in train: ten more must not.
    study = [f"s{i}" for i in range(30)]
    label = ["a", "b"] * 15
    kept = {name: "train" for name in study[:20]}
    kept |= {"s0": "validation", "s1": "validation", "s2": "test", "s3": "test"}
    split = make_split(study, label, study, kept=kept)
    assert {name: split.assignment[name] for name in kept} == kept
    for part, wanted in zip(PARTS, (21, 4.5, 4.5), strict=True):
        assert sum(split.counts[part].values()) == pytest.approx(wanted, abs=1.5)
    assert make_split(study[::-1], label[::-1], study[::-1], kept=kept).hash == split.hash
