"""Labels that no folder says: a user's table, MURA's studies, GRAZPEDWRI-DX's table and boxes."""

import csv
import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import Prepared, open_prepared
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.imaging.read import open_image
from tests.cli_runner import run_cli
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, picture, write, zipped


def manifest(prepared: Prepared) -> dict[str, dict[str, str]]:
    with prepared.manifest_path.open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def refused(prepared: Prepared) -> dict[str, str]:
    rows = manifest(prepared).items()
    return {path: row["reason"] for path, row in rows if row["status"] == "refused"}


def by_study(prepared: Prepared, values) -> dict[str, object]:
    return dict(zip(prepared.study.tolist(), values.tolist(), strict=True))


def groups(prepared: Prepared) -> list[list[str]]:
    """The groups of two and more."""
    members: dict[str, list[str]] = {}
    for study, group in by_study(prepared, prepared.group).items():
        members.setdefault(str(group), []).append(study)
    return sorted(sorted(studies) for studies in members.values() if len(studies) > 1)


def export(root: Path) -> Path:
    """Ten images in nested folders, as an archive exports them."""
    for i in range(10):
        write(root / f"2024/0{i % 3}/IM{i:04d}.png", encode(picture(i), "PNG"))
    return root


def labelled(path: Path, *rows: str, header: str = "file,label,part,patient") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


ROWS = [f"IM{i:04d}.png,{('normal', 'fracture')[i % 2]},wrist,p{i // 2}" for i in range(10)]


def test_a_table_gives_label_part_and_patient(tmp_path):
    root, labels = export(tmp_path / "export"), labelled(tmp_path / "labels.csv", *ROWS)
    words = ("--source", root, "--labels", labels, "--data-dir", tmp_path, "--save-as", "mine")
    made = run_cli("prepare", "table", *words, "--classes", "normal", "fracture")
    assert made.returncode == 0, made.stderr
    assert "negative: normal, positive: fracture" in made.stdout
    prepared = open_prepared("mine", tmp_path)
    assert prepared.classes == ("normal", "fracture")
    assert by_study(prepared, prepared.label) == {
        f"2024/0{i % 3}/IM{i:04d}.png": i % 2 for i in range(10)
    }
    assert set(prepared.attributes["part"]) == {"wrist"}
    assert by_study(prepared, prepared.attributes["patient"])["2024/01/IM0007.png"] == "p3"
    assert prepared.group_by == "patient"
    # Two images of each patient, one of each class, which are nothing alike.
    assert groups(prepared) == sorted(
        sorted(f"2024/0{i % 3}/IM{i:04d}.png" for i in (2 * p, 2 * p + 1)) for p in range(5)
    )


def test_a_name_is_any_last_parts_of_a_path_with_or_without_suffix_in_any_unicode_form(tmp_path):
    root = export(tmp_path / "export")
    nfd = unicodedata.normalize("NFD", "Hüfte")
    write(root / nfd / "a.png", encode(picture(50), "PNG"))
    rows = [f"2024\\0{i % 3}\\IM{i:04d}.png;{i % 2}" for i in range(4)]  # as Windows writes paths
    rows += [f"IM{i:04d};{i % 2}" for i in range(4, 8)] + ["./Hüfte/a.png;1"]
    rows += ["02/IM0008.png;0", "00/IM0009;1"]  # the last parts, with and without suffix
    labels = labelled(root / "labels.csv", *rows, header="file;label")
    prepare(Request("table", source=root, labels=labels, data_dir=tmp_path, positive="1"))
    prepared = open_prepared("table", tmp_path)
    assert (len(prepared), refused(prepared)) == (11, {})  # the table among the images is none
    assert prepared.classes == ("0", "1")


def test_rows_and_files_that_do_not_agree_are_refused_by_name(tmp_path):
    root = export(tmp_path / "export")
    write(root / "other" / "IM0000.png", encode(picture(70), "PNG"))
    write(root / "other" / "extra.png", encode(picture(71), "PNG"))
    rows = [*ROWS[:9], "", "IM0001,normal,,", "other/extra.png,,,", "gone.png,normal,,"]
    labels = labelled(tmp_path / "labels.csv", *rows)
    request = Request("table", source=root, labels=labels, data_dir=tmp_path, positive="fracture")
    prepare(request)
    twice = "ambiguous: lines 3, 12 of labels.csv may mean 2024/01/IM0001.png"
    assert refused(open_prepared("table", tmp_path)) == {
        "IM0000.png": "ambiguous: line 2 of labels.csv may mean 2024/00/IM0000.png, "
        "other/IM0000.png",
        "IM0001.png": twice,
        "IM0001": twice,
        "other/extra.png": "no label: line 13 of labels.csv has none",
        "gone.png": "missing: line 14 of labels.csv names it, no such file",
        "2024/00/IM0009.png": "no label: not in labels.csv",
    }


def test_an_export_of_a_pacs(tmp_path):
    """DICOM by UIDs without suffix, in nested folders, among what is no image."""
    root = tmp_path / "export"
    uids = [f"1.2.840.{i + 1}.7" for i in range(6)]
    for i, uid in enumerate(uids):
        write(root / f"P{i // 2}" / f"1.9.{i}" / uid, dicom(picture(i)))
    write(root / "DICOMDIR", dicom(picture(0)))
    write(root / "P0" / uids[0].removesuffix(".7") / "notes", b"Dear colleague,")
    write(root / "P0" / f"{uids[1]}.txt", b"Dear colleague,")
    write(root / "P0" / "1.2.840.99.1", dicom(picture(9)))
    rows = [f"{uid},{'ab'[i % 2]},p{i // 2}" for i, uid in enumerate(uids)]
    # The front of a UID is another's, and no name of this file without its suffix.
    rows += ["1.2.840.99,a,p9", "notes,b,p9"]
    labels = labelled(tmp_path / "labels.csv", *rows, header="file,label,patient")
    request = Request("table", source=root, labels=labels, data_dir=tmp_path, positive="b")
    summary = prepare(request)
    assert (summary.taken, summary.group_by) == ({"a": 3, "b": 3}, "patient")
    assert summary.skipped == {"a DICOM table of contents": 1, "no image": 1}
    prepared = open_prepared("table", tmp_path)
    assert {study.split("/")[-1] for study in prepared.study.tolist()} == {*uids}
    reasons = {path: reason.split(":")[0] for path, reason in refused(prepared).items()}
    assert reasons == {
        "1.2.840.99": "missing",
        "P0/1.2.840.1/notes": "not a picture",
        "P0/1.2.840.99.1": "no label",
    }


@pytest.mark.parametrize(
    "header, rows, positive, expected",
    [
        ("name,label", ["a,b"], "b", "expected a header with file, label, each once"),
        ("file,label", ["IM0000,a", "IM0001,b"], "", "write --classes a b or --classes b a"),
        ("file,label", ["IM0000,a", "IM0001,b"], "c", "--positive 'c' is none of the classes"),
        ("file,label", ["x.png,a", "y.png,b"], "b", "none of the 2 files that it names is in"),
        ("file,label", ["x.png,a,", "y.png,b"], "b", "line 2 has not 2 fields"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, header, rows, positive, expected):
    labels = labelled(tmp_path / "labels.csv", *rows, header=header)
    root = export(tmp_path / "export")
    request = Request("table", source=root, labels=labels, data_dir=tmp_path, positive=positive)
    with pytest.raises(InputError, match=expected):
        prepare(request)
    with pytest.raises(InputError, match="--labels is needed: a CSV with the columns file and"):
        prepare(Request("table", source=root, data_dir=tmp_path))


def mura_tree(root: Path) -> Path:
    """Sixteen patients with a study each, the first two with two of two images; four in `valid`."""
    tables = {"train": [], "valid": []}
    for p in range(16):
        part = "valid" if p > 11 else "train"
        for s in range(2 if p < 2 else 1):
            called = ("negative", "positive")[(p + s) % 2]
            body = ("XR_WRIST", "XR_ELBOW")[s]
            study = f"{part}/{body}/patient{p + 1:05d}/study1_{called}"
            for i in range(2 if p < 2 else 1):
                pixels = picture(100 * p + 10 * s + i)
                write(root / study / f"image{i + 1}.png", encode(pixels, "PNG"))
            tables[part].append(f"MURA-v1.1/{study}/,{int(called == 'positive')}")
    for part, rows in tables.items():
        (root / f"{part}_labeled_studies.csv").write_text("\n".join(rows) + "\n")
    return root


def test_mura_takes_the_label_of_the_study_and_keeps_patients_together(tmp_path):
    root = mura_tree(tmp_path / "tree")
    write(root / "train/XR_WRIST/patient00001/study1_negative/._image1.png", b"macOS")
    prepare(Request("mura", source=zipped(root, "MURA-v1.1"), data_dir=tmp_path))
    prepared = open_prepared("mura", tmp_path)
    assert prepared.classes == ("normal", "abnormal")
    label = by_study(prepared, prepared.label)
    assert len(label) == 22
    assert label["train/XR_WRIST/patient00001/study1_negative/image2.png"] == 0
    assert label["train/XR_ELBOW/patient00001/study1_positive/image1.png"] == 1
    assert set(label.values()) == {0, 1}
    first, second = groups(prepared)
    assert {study.split("/")[2] for study in first} == {"patient00001"}
    assert (len(first), len(second)) == (4, 4)
    i = prepared.study.tolist().index("train/XR_ELBOW/patient00001/study1_positive/image1.png")
    assert {name: column[i] for name, column in prepared.attributes.items()} == {
        "part": "elbow",
        "patient": "patient00001",
        "visit": "patient00001 elbow study1",
        "published_part": "train",
    }


def test_another_column_does_not_part_what_a_source_keeps_together(tmp_path):
    """The first two patients of MURA have two visits each."""
    root = mura_tree(tmp_path / "tree")
    prepare(Request("mura", source=root, data_dir=tmp_path, group_by="visit"))
    together = groups(open_prepared("mura", tmp_path))
    assert [len(studies) for studies in together] == [4, 4]
    assert len({study.split("/")[2] for study in together[0]}) == 1


def test_mura_whose_tables_and_folders_disagree(tmp_path):
    root = mura_tree(tmp_path / "tree")
    table = root / "train_labeled_studies.csv"
    rows = table.read_text().splitlines()
    rows[0] = rows[0][:-1] + "1"  # the first study, which lies in study1_negative
    gone = "train/XR_HAND/patient00077/study1_positive"
    rows = [*rows[:-1], f"MURA-v1.1/{gone}/,1"]  # the last one is listed no more
    table.write_text("\n".join(rows))
    prepare(Request("mura", source=root, data_dir=tmp_path))
    first = "train/XR_WRIST/patient00001/study1_negative"
    conflict = "label conflict: it lies in negative, the table says abnormal"
    assert refused(open_prepared("mura", tmp_path)) == {
        f"{first}/image1.png": conflict,
        f"{first}/image2.png": conflict,
        "train/XR_WRIST/patient00012/study1_positive/image1.png": (
            "no label: its study is not in train_labeled_studies.csv"
        ),
        gone: "missing: a labelled study without an image",
    }
    table.write_text("MURA-v1.1/train/XR_WRIST/patient00001/study1_negative/,2\nx,1\n")
    with pytest.raises(InputError, match=r"csv: 2 bad lines.*line 1: MURA.*,2; line 2: x,1"):
        prepare(Request("mura", source=root, data_dir=tmp_path / "other"))


def deep(seed: int) -> bytes:
    """A 16-bit PNG, with low bits that 8 would lose."""
    file = io.BytesIO()
    Image.fromarray(picture(seed).astype(np.uint16) * 256 + seed).save(file, "PNG")
    return file.getvalue()


COLUMNS = "filestem,patient_id,age,gender,laterality,projection,cast,fracture_visible,metal"


def graz_tree(root: Path) -> Path:
    """Five patients, each with a broken and an unbroken wrist; boxes as of YOLO."""
    rows = [COLUMNS]
    for i in range(10):
        stem = f"{i:04d}_0297860395_01_WRI-{'LR'[i % 2]}{i % 2 + 1}_M014"
        write(root / f"images_part{i % 4 + 1}" / f"{stem}.png", deep(i))
        rows.append(f"{stem},{i // 2},{i}.5,M,{'LR'[i % 2]},1,,{'1.0' if i % 2 else ''},")
        # A metal plate, and of the broken ones a fracture, 40 of 80 pixels wide and 24 of 96 high.
        boxes = "4 0.1 0.1 0.1 0.1\n" + ("3 0.5 0.25 0.5 0.25\n" if i % 2 else "")
        write(root / "folder_structure/yolov5/labels" / f"{stem}.txt", boxes.encode())
    (root / "dataset.csv").write_text("\n".join(rows) + "\n")
    return root


def test_grazpedwri_has_labels_patients_boxes_and_its_16_bits(tmp_path):
    root = graz_tree(tmp_path / "tree")
    prepare(Request("grazpedwri_dx", source=root, data_dir=tmp_path))
    prepared = open_prepared("grazpedwri_dx", tmp_path)
    assert prepared.classes == ("no fracture", "fracture")
    order = np.argsort(prepared.study)
    assert prepared.label[order].tolist() == [0, 1] * 5
    assert prepared.attributes["patient"][order].tolist() == [str(i // 2) for i in range(10)]
    assert prepared.attributes["age"][order[3]] == "3.5"
    assert [[study[:4] for study in pair] for pair in groups(prepared)] == [
        [f"{2 * p:04d}", f"{2 * p + 1:04d}"] for p in range(5)
    ]
    np.testing.assert_allclose(prepared.boxes[order[3]], [[0.125, 0.25, 0.375, 0.75]], rtol=1e-6)
    assert len(prepared.boxes[order[2]]) == 0
    for i in (0, 9):
        assert prepared.image_bytes(int(order[i])) == deep(i)
        grey = np.asarray(open_image(prepared.image_bytes(int(order[i]))).upright().convert("L"))
        assert np.abs(grey.astype(int) - picture(i)).max() <= 1


def test_grazpedwri_whose_table_files_and_boxes_disagree(tmp_path):
    root = graz_tree(tmp_path / "tree")
    stems = sorted(path.stem for path in root.rglob("*.png"))
    (root / "images_part1" / f"{stems[0]}.png").unlink()
    write(root / "images" / f"{stems[1]}.png", deep(1))
    write(root / "images" / "new.png", deep(20))
    box = root / "folder_structure/yolov5/labels" / f"{stems[2]}.txt"
    box.write_text("3 0.5 0.5 0.1 0.1\n")
    prepare(Request("grazpedwri_dx", source=root, data_dir=tmp_path))
    reasons = refused(open_prepared("grazpedwri_dx", tmp_path))
    assert sorted(reasons.values()) == [
        f"ambiguous: it lies in 2 places: images/{stems[1]}.png, images_part2/{stems[1]}.png",
        "label conflict: it has a box of a fracture, dataset.csv says that none is seen",
        "missing: listed in dataset.csv, no such file",
        "no label: not in dataset.csv",
    ]
    table = root / "dataset.csv"
    table.write_text(table.read_text().replace("1,,1.0,", "1,,2,"))
    with pytest.raises(InputError, match=r"5 bad lines: line 3: fracture_visible='2', expected 1"):
        prepare(Request("grazpedwri_dx", source=root, data_dir=tmp_path / "other"))
    box.write_text("3 0.5\n")
    table.write_text(table.read_text().replace("1,,2,", "1,,1,"))
    with pytest.raises(InputError, match=r"\.txt: not a label file of YOLO"):
        prepare(Request("grazpedwri_dx", source=root, data_dir=tmp_path / "other"))
