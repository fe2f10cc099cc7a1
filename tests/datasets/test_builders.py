"""The published layouts, a user's folders and phantoms, each from a tiny source to open records."""

import csv
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fracjax.config import Data
from fracjax.config.class_names import class_key
from fracjax.datasets.phantom.drawing import draw
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import SPLITS, Prepared, open_prepared
from fracjax.datasets.request import Request
from fracjax.datasets.sources import bone_break
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset
from tests.cli_runner import run_cli
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, fracatlas_tree, picture, write, zipped

COCO = "Annotations/COCO JSON/COCO_fracture_masks.json"


def manifest(prepared: Prepared) -> dict[str, dict[str, str]]:
    with prepared.manifest_path.open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def contents(prepared: Prepared) -> dict[str, tuple]:
    return {
        str(name): (
            hashlib.sha256(prepared.image_bytes(i)).hexdigest(),
            int(prepared.label[i]),
            str(prepared.group[i]),
            prepared.boxes[i].tolist(),
            [mask.tolist() for mask in prepared.masks[i]],
            {key: column[i] for key, column in prepared.attributes.items()},
        )
        for i, name in enumerate(prepared.study)
    }


@pytest.fixture(scope="module")
def fracatlas(tmp_path_factory) -> tuple[Path, Prepared]:
    """14 pictures, one of the normal ones truncated."""
    root = fracatlas_tree(tmp_path_factory.mktemp("fracatlas") / "tree")
    cut = root / "images" / "Non_fractured" / "IMG0000013.jpg"
    cut.write_bytes(cut.read_bytes()[:-700])
    data_dir = root.parent / "data"
    summary = prepare(Request("fracatlas", source=root, data_dir=data_dir))
    assert summary.taken == {"normal": 7, "fracture": 6}
    assert summary.refused == {"truncated": 1}
    return root, open_prepared("fracatlas", data_dir)


def test_fracatlas_records_are_the_files_byte_for_byte(fracatlas):
    root, prepared = fracatlas
    assert prepared.classes == ("normal", "fracture")
    assert sorted(prepared.study) == [f"IMG{i:07d}" for i in range(13)]
    for i, (study, label) in enumerate(zip(prepared.study, prepared.label, strict=True)):
        folder = ("Non_fractured", "Fractured")[label]
        assert prepared.image_bytes(i) == (root / "images" / folder / f"{study}.jpg").read_bytes()


def test_fracatlas_boxes_outlines_and_attributes(fracatlas):
    _, prepared = fracatlas
    i = prepared.study.tolist().index("IMG0000002")
    # COCO: x 8, y 24, 40 wide, 48 high, in a picture 80 wide and 96 high
    np.testing.assert_allclose(prepared.boxes[i], [[0.25, 0.1, 0.75, 0.6]], rtol=1e-6)
    (mask,) = prepared.masks[i]
    np.testing.assert_allclose(mask, [[0.25, 0.1], [0.25, 0.6], [0.75, 0.6]], rtol=1e-6)
    assert prepared.attributes["fracture_count"][i] == 1
    assert prepared.attributes["hand"].tolist() == [1] * 13
    healthy = prepared.label == 0
    assert {len(b) for b, h in zip(prepared.boxes, healthy, strict=True) if h} == {0}


def test_outlines_that_cannot_be_are_cut_left_out_or_refused_and_the_manifest_says_so(tmp_path):
    root = fracatlas_tree(tmp_path / "tree")
    path = root / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json"
    coco = json.loads(path.read_text())
    beyond, flat, outside, nan, gone, _ = coco["annotations"]
    beyond |= {"bbox": [60, 24, 40, 48], "segmentation": [[60, 24, 100, 24, 100, 72]]}
    flat |= {"bbox": [8, 24, 0, 48]}
    outside |= {"bbox": [90, 24, 10, 10], "segmentation": [[90, 24, 100, 24, 100, 34]]}
    nan |= {"bbox": [8, 24, float("nan"), 48]}
    gone["image_id"] = 99
    coco["images"].append({"id": 99, "file_name": "IMG9999999.jpg", "width": 80, "height": 96})
    coco["images"].append({"id": 98, "file_name": "IMG0000010.jpg", "width": 80, "height": 96})
    coco["annotations"].append({**beyond, "image_id": 98})
    path.write_text(json.dumps(coco))
    summary = prepare(Request("fracatlas", source=root, data_dir=tmp_path))
    assert summary.taken == {"normal": 7, "fracture": 6}
    assert summary.refused == {"label conflict": 1, "missing": 1}
    prepared = open_prepared("fracatlas", tmp_path)
    found = {str(s): prepared.boxes[i].tolist() for i, s in enumerate(prepared.study)}
    np.testing.assert_allclose(found["IMG0000000"], [[0.25, 0.75, 0.75, 1.0]], rtol=1e-6)
    assert [len(found[f"IMG000000{i}"]) for i in range(6)] == [1, 0, 0, 0, 0, 1]
    rows = manifest(prepared)
    notes = [rows[f"images/Fractured/IMG000000{i}.jpg"]["note"] for i in range(6)]
    assert notes[0] == "findings cut at its edge, which they pass by up to 25.0 % of a side"
    left_out = "findings left out, of no size or not on the picture: 1"
    assert notes[1:] == [left_out, left_out, left_out, "", ""]
    assert rows["IMG9999999.jpg"]["reason"] == f"missing: outlined in {COCO}, no such file"
    conflict = rows["images/Non_fractured/IMG0000010.jpg"]["reason"]
    assert conflict == f"label conflict: it lies among normal, {COCO} outlines a fracture"


def test_the_manifest_names_the_truncated_file(fracatlas):
    _, prepared = fracatlas
    rows = manifest(prepared)
    assert len(rows) == 14
    refused = rows.pop("images/Non_fractured/IMG0000013.jpg")
    assert refused["status"] == "refused"
    assert refused["reason"].startswith("truncated: image file is truncated")
    assert refused["group"] == ""
    assert {row["status"] for row in rows.values()} == {"taken"}
    taken = rows["images/Fractured/IMG0000000.jpg"]
    assert (taken["width"], taken["height"], taken["label"]) == ("80", "96", "fracture")


def test_the_zip_gives_the_same_records(fracatlas, tmp_path):
    root, from_folder = fracatlas
    path = zipped(root, "FracAtlas")
    prepare(Request("fracatlas", source=path, data_dir=tmp_path))
    from_zip = open_prepared("fracatlas", tmp_path)
    assert contents(from_zip) == contents(from_folder)
    assert (from_zip.directory / SPLITS).read_bytes() == (
        from_folder.directory / SPLITS
    ).read_bytes()


def test_fracatlas_whose_table_and_folders_disagree(tmp_path):
    root = fracatlas_tree(tmp_path / "tree")
    table = (root / "dataset.csv").read_text().splitlines()
    table[1] = table[1][:-1] + "0"  # IMG0 lies among the fractured
    del table[2]  # IMG1 has no row
    table.append(table[2].replace("IMG0000002", "IMG0000099"))  # IMG99 has no file
    (root / "dataset.csv").write_text("\n".join(table))
    prepare(Request("fracatlas", source=root, data_dir=tmp_path))
    rows = manifest(open_prepared("fracatlas", tmp_path))
    assert {path: row["reason"] for path, row in rows.items() if row["status"] == "refused"} == {
        "images/Fractured/IMG0000000.jpg": (
            "label conflict: it lies among fracture, dataset.csv says fractured=0"
        ),
        "images/Fractured/IMG0000001.jpg": "not in dataset.csv: its attributes are unknown",
        "IMG0000099.jpg": "missing: listed in dataset.csv, no such file",
    }


@pytest.mark.parametrize(
    "damage, expected",
    [
        (
            lambda t: t.replace("hand,", "arm,"),
            "header with image_id, hand, .*'arm'",
        ),
        (
            lambda t: t.replace("IMG0000003.jpg,1", "IMG0000003.jpg,x"),
            "dataset.csv: .*line 5: IMG0000003.jpg: .*hand='x'",
        ),
        (lambda t: t.replace("IMG0000004", "IMG0000003"), "line 6: IMG0000003.jpg is duplicated"),
        (lambda t: t.strip()[:-1] + "7", "line 15: IMG0000013.jpg: fractured=7, expected 0 or 1"),
    ],
)
def test_a_bad_table_is_refused_with_its_lines(tmp_path, damage, expected):
    root = fracatlas_tree(tmp_path / "tree")
    table = root / "dataset.csv"
    table.write_text(damage(table.read_text()))
    with pytest.raises(InputError, match=expected):
        prepare(Request("fracatlas", source=root, data_dir=tmp_path / "data"))


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda path: None, "found nothing, expected a zip or its unpacked folder"),
        (lambda path: path.write_bytes(b"no zip"), "found a file that is not a zip"),
        (lambda path: path.mkdir(), "found no such place"),
        (lambda path: [fracatlas_tree(path / "a"), fracatlas_tree(path / "b")], "2 such places"),
    ],
)
def test_a_source_of_another_layout_is_refused(tmp_path, make, expected):
    make(tmp_path / "source")
    with pytest.raises(InputError, match=expected):
        prepare(Request("fracatlas", source=tmp_path / "source", data_dir=tmp_path / "data"))


def bone_break_tree(root: Path) -> Path:
    """Four figures of each class, and in the first two classes copies under other names."""
    for c, name in enumerate(bone_break.CLASSES):
        for i in range(4):
            part = ("Train", "Test")[i % 2]
            file = f"fig-{c}-{i}_jpg.rf.{c:08x}{i:024x}aa{c:02x}{i:02x}.jpg"
            write(root / name / part / file, encode(picture(10 * c + i)))
    first, second = (root / name for name in bone_break.CLASSES[:2])
    mirrored = np.fliplr(picture(0)).copy()  # of fig-0-0, in the other part
    write(first / "Test" / "mirror_png.rf.00aaff.jpg", encode(mirrored))
    # panels of one figure: no likeness, one name
    write(first / "Train" / "Segond-2_png.rf.ebec001.jpg", encode(picture(900)))
    write(first / "Test" / "Segond-2_png.rf.ebec7002.jpg", encode(picture(901)))
    # panels of one export: the hash's end survives a mangled name
    write(first / "Train" / "35765-galleyfig1a_jpeg.rf.4e462790773a110b4171d25a.jpg",
          encode(picture(902)))  # fmt: skip
    write(second / "Test" / "35765-gal_jpeg.rf62790773a110b4171d25a.jpg", encode(picture(903)))
    # counters are not figures: the same name in another class
    write(first / "Train" / "image31_jpeg.rf.111111.jpg", encode(picture(904)))
    write(second / "Train" / "image31_jpeg.rf.222222.jpg", encode(picture(905)))
    return root


def test_bone_break_groups_by_likeness_figure_and_export(tmp_path):
    root = bone_break_tree(tmp_path / "tree" / "Bone Break" / "Bone Break")
    prepare(Request("bone_break", source=tmp_path / "tree", data_dir=tmp_path))
    prepared = open_prepared("bone_break", tmp_path)
    assert prepared.classes == bone_break.CLASSES
    assert len(prepared) == len([p for p in root.rglob("*") if p.is_file()])
    members: dict[str, set[str]] = {}
    for study, group in zip(prepared.study, prepared.group, strict=True):
        members.setdefault(str(group), set()).add(str(study).split("/")[-1])
    joined = sorted(sorted(names) for names in members.values() if len(names) > 1)
    assert [[name.split("_")[0] for name in names] for names in joined] == [
        ["35765-gal", "35765-galleyfig1a"],
        ["Segond-2", "Segond-2"],
        ["fig-0-0", "mirror"],
    ]
    i = [str(s).split("/")[-1] for s in prepared.study].index("mirror_png.rf.00aaff.jpg")
    assert prepared.attributes["source"][i] == "mirror"
    assert prepared.attributes["published_part"][i] == "Test"
    rows = manifest(prepared)
    (row,) = [row for path, row in rows.items() if "galleyfig1a" in path]
    assert row["note"] == "its group has 2 labels: Avulsion fracture, Comminuted fracture"


@pytest.mark.parametrize(
    "file, name",
    [
        ("000002_png.rf.c3e00ebc.jpg", "000002"),
        ("35765-galleyfig1a_jpeg.rf62790773a110b4171d25a.jpg", "35765-galleyfig1a"),
        ("ot1020_otgr_f1_og_jpg.r458090596504941ee7e64eb43f41a.jpg", "ot1020_otgr_f1_og"),
        ("Greenstick-300x265_jpg.rf86c08d814d3a4fb36e5.jpg", "greenstick-300x265"),
        ("dasdadsasdasd.jpg", ""),
        ("gr1e44caac83.jpg", ""),
    ],
)
def test_figure_names_as_they_are_published(file, name):
    assert bone_break.source_name(file) == name


def test_a_bone_break_without_a_class_is_refused(tmp_path):
    root = bone_break_tree(tmp_path / "tree")
    shutil.rmtree(root / "Spiral Fracture")
    with pytest.raises(
        InputError, match=r"expected the zip of Bone Break.*Spiral Fracture/ side by"
    ):
        prepare(Request("bone_break", source=root, data_dir=tmp_path / "data"))


def folder_tree(root: Path) -> Path:
    for i in range(5):
        write(root / "healthy" / f"h{i}.jpg", encode(picture(i)))
        write(root / "broken" / "deep" / f"b{i}.png", encode(picture(50 + i), "PNG"))
    return root


def test_a_users_folders_with_attributes(tmp_path):
    root = folder_tree(tmp_path / "mine")
    table = tmp_path / "attributes.csv"
    table.write_text("filename,sex,view\nh0.jpg,f,ap\nbroken/deep/b3.png,m,lateral\n")
    request = Request(
        "folder", source=root, data_dir=tmp_path, save_as="clinic", attributes=table,
        classes=("healthy", "broken"),
    )  # fmt: skip
    assert prepare(request).directory == tmp_path / "clinic"
    prepared = open_prepared("clinic", tmp_path)
    assert prepared.classes == ("healthy", "broken")
    views = dict(zip(prepared.study, prepared.attributes["view"], strict=True))
    assert views.pop("healthy/h0.jpg") == "ap"
    assert views.pop("broken/deep/b3.png") == "lateral"
    assert set(views.values()) == {""}
    assert set(prepared.label[[s.startswith("broken") for s in prepared.study]]) == {1}


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_rubbish_in_a_users_folders_is_refused_by_name_or_counted(form, tmp_path):
    root = folder_tree(tmp_path / "mine")
    write(root / "healthy" / "Thumbs.db", b"rubbish")
    write(root / "healthy" / "empty.jpg", b"")
    write(root / "healthy" / "notes.txt", b"rubbish")
    write(root / "broken" / "@eaDir" / "b0.png", b"rubbish")
    write(root / "broken" / ".cache" / "b0.png", encode(picture(99), "PNG"))
    write(root / "broken" / "DICOMDIR", dicom(picture(0)))
    write(root / "broken" / "scan.jpg", b"rubbish")
    source = zipped(root, "x") if form == "zip" else root
    summary = prepare(Request("folder", source=source, data_dir=tmp_path, positive="broken"))
    assert summary.taken == {"healthy": 5, "broken": 5}
    assert summary.refused == {"empty": 1, "not a picture": 1}
    assert summary.skipped["no image"] == summary.skipped["a DICOM table of contents"] == 1
    assert "1 no image" in str(summary)
    rows = manifest(open_prepared("folder", tmp_path))
    refused = {path.removeprefix("x/") for path, row in rows.items() if row["status"] == "refused"}
    assert refused == {"broken/scan.jpg", "healthy/empty.jpg"}
    if form == "folder":  # of a file system's own folders nothing is entered
        assert (summary.skipped["of a service"], summary.skipped["hidden"]) == (2, 1)


@pytest.mark.parametrize("named", [{"classes": ("Healthy", "broken")}, {"positive": "broken"}])
@pytest.mark.parametrize("form", ["zip", "folder"])
def test_one_folder_on_top(form, named, tmp_path):
    """As in a zip of the folder itself."""
    root = folder_tree(tmp_path / "export" / "mine")
    source = zipped(root, "mine") if form == "zip" else tmp_path / "export"
    prepare(Request("folder", source=source, data_dir=tmp_path, **named))
    prepared = open_prepared("folder", tmp_path)
    assert {str(study) for study in prepared.study} == {
        *(f"healthy/h{i}.jpg" for i in range(5)),
        *(f"broken/deep/b{i}.png" for i in range(5)),
    }
    assert set(manifest(prepared)) == {f"mine/{study}" for study in prepared.study}


def test_one_folder_on_top_of_the_parts_of_a_split(tmp_path):
    export = tmp_path / "export"
    for at, part in enumerate(("train", "val", "test")):
        for i in range(3):
            seed = 10 * at + i
            write(export / "mine" / part / "healthy" / f"{i}.jpg", encode(picture(seed)))
            write(export / "mine" / part / "broken" / f"{i}.jpg", encode(picture(50 + seed)))
    request = Request("folder", source=export, data_dir=tmp_path, positive="broken")
    assert {part: sum(n.values()) for part, n in prepare(request).counts.items()} == {
        "train": 6, "validation": 6, "test": 6
    }  # fmt: skip


def test_one_folder_on_top_may_be_a_class_and_what_lies_in_it_patients(tmp_path):
    for patient in ("p1", "p2"):
        write(tmp_path / "mine" / "broken" / patient / "a.jpg", encode(picture(0)))
    with pytest.raises(InputError, match="fewer than two classes; found 'broken'"):
        prepare(Request("folder", source=tmp_path / "mine", data_dir=tmp_path))


def test_names_that_are_no_utf8_that_are_long_and_links(tmp_path):
    root = folder_tree(tmp_path / "mine")
    odd, long = os.fsdecode(b"caf\xe9"), "x" * 250
    write(root / "healthy" / odd, encode(picture(20)))
    write(root / "healthy" / long / long, dicom(picture(21)))
    (root / "broken" / "elsewhere").symlink_to(
        write(tmp_path / "other" / "b.jpg", encode(picture(0))).parent
    )
    prepare(Request("folder", source=root, data_dir=tmp_path, positive="broken"))
    prepared = open_prepared("folder", tmp_path)
    rows = manifest(prepared)
    assert rows["healthy/caf\\xe9"]["status"] == "taken"
    assert rows[f"healthy/{long}/{long}"]["status"] == "taken"
    assert rows["broken/elsewhere/b.jpg"]["reason"].startswith("label conflict")
    assert "healthy/caf\\xe9" in prepared.study


@pytest.mark.parametrize(
    "text, expected",
    [
        ("name,view\na,b\n", "expected a header with filename"),
        ("", "expected a header with filename, each once, in UTF-8; found nothing"),
        ("filename,view\nh0.jpg\nh1.jpg,a,b\n", "line 2 has not 2 fields; line 3 has not 2 fields"),
        ("filename,view\nh0.jpg,a\nh0.jpg,b\n", "line 3: h0.jpg is duplicated"),
        ("filename,view\nx.jpg,a\ny.jpg,a\n", "2 rows match no single image: x.jpg is no file"),
        ("filename,view\nh0,a\nhealthy/h0.jpg,b\n", "h0, healthy/h0.jpg all mean healthy/h0.jpg"),
    ],
)
def test_a_bad_csv_is_refused_with_all_its_lines(tmp_path, text, expected):
    table = tmp_path / "attributes.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=expected):
        prepare(
            Request(
                "folder", source=folder_tree(tmp_path / "mine"), data_dir=tmp_path,
                attributes=table, positive="broken",
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    "classes, expected",
    [
        (("healthy", "brokn"), "there is no class 'brokn'; found 'broken', 'healthy'"),
        (("healthy", "Healthy"), "a class is named twice"),
        (("healthy",), "fewer than two classes"),
        ((), "which of two classes is negative must be said: write --classes healthy broken; "),
        (
            ("broken", "healthy"),
            "negative: broken, positive: healthy is the opposite of what the names say: "
            "write --classes healthy broken, or rename",
        ),
    ],
)
def test_wrong_classes_are_refused(tmp_path, classes, expected):
    root = folder_tree(tmp_path / "mine")
    with pytest.raises(InputError, match=expected):
        prepare(Request("folder", source=root, data_dir=tmp_path, classes=classes))


@pytest.mark.parametrize("positive", ["healthy", "brokn"])
def test_a_wrong_positive_class_is_refused(tmp_path, positive):
    root = folder_tree(tmp_path / "mine")
    with pytest.raises(InputError, match=r"opposite of what|'brokn' is none of the classes"):
        prepare(Request("folder", source=root, data_dir=tmp_path, positive=positive))


def class_folders(root: Path, *names: str) -> Path:
    for place, name in enumerate(names):
        for i in range(3):
            write(root / name / f"{i}.png", encode(picture(10 * place + i), "PNG"))
    return root


@pytest.mark.parametrize(
    "folders, words, classes",
    [
        (("+ve", "-ve"), ("--classes", "-ve", "+ve"), ("-ve", "+ve")),
        (("+ve", "-ve"), ("--positive", "+ve"), ("-ve", "+ve")),
        (("None", "fracture"), ("--classes", "None", "fracture"), ("None", "fracture")),
        (("none", "spiral"), ("--positive", "spiral"), ("none", "spiral")),
        (("Fracture", "Normal"), ("--classes", "normal", "FRACTURE"), ("normal", "FRACTURE")),
        (
            ("intakt", "brüchig"),
            ("--classes", "intakt", "bru\u0308chig"),
            ("intakt", "bru\u0308chig"),
        ),
        (("intakt", "bru\u0308chig"), ("--positive", "brüchig"), ("intakt", "brüchig")),
    ],
)
def test_class_names_of_any_spelling(tmp_path, folders, words, classes):
    root = class_folders(tmp_path / "mine", *folders)
    made = run_cli("prepare", "folder", "--source", root, "--data-dir", tmp_path, *words)
    assert made.returncode == 0, made.stderr
    assert f"negative: {classes[0]}, positive: {classes[1]}\n" in made.stdout
    prepared = open_prepared("folder", tmp_path)
    assert prepared.classes == classes
    positive = [s for s, i in zip(prepared.study, prepared.label, strict=True) if i]
    (folder,) = {study.split("/")[0] for study in positive}
    assert class_key(folder) == class_key(classes[1])


def test_folders_that_spell_one_class_in_two_ways_are_one(tmp_path):
    root = class_folders(tmp_path / "mine", "Hand", "foot", "hand", "fu\u0308r", "für")
    prepare(Request("folder", source=root, data_dir=tmp_path))
    prepared = open_prepared("folder", tmp_path)
    assert prepared.classes == ("foot", "für", "Hand")
    assert np.bincount(prepared.label).tolist() == [3, 6, 6]


def test_a_config_cannot_turn_the_roles_of_a_prepared_dataset(tmp_path):
    root = class_folders(tmp_path / "mine", "a", "b")
    prepare(Request("folder", source=root, data_dir=tmp_path, classes=("b", "a")))

    def train_labels(*classes: str) -> dict[str, int]:
        data = Data("folder", dir=tmp_path, classes=classes, image_size=8)
        part = open_dataset(data).part("train")
        return {s[0]: int(label) for s, label in zip(part.study, part.label, strict=True)}

    assert train_labels("b", "a") == train_labels("B", "A") == {"b": 0, "a": 1}
    expected = (
        "folder was prepared with negative: b, positive: a, and data.classes makes it "
        "negative: A, positive: b: write data.classes b a, or prepare it again with --classes a b"
    )
    with pytest.raises(InputError, match=expected):
        train_labels("A", "b")


def test_a_class_with_nothing_usable_is_refused(tmp_path):
    root = folder_tree(tmp_path / "mine")
    write(root / "odd" / "a.jpg", b"")
    expected = r"no usable image of: odd \(1 of 11 files refused, first: odd/a.jpg: empty"
    with pytest.raises(InputError, match=expected):
        prepare(Request("folder", source=root, data_dir=tmp_path))


@pytest.mark.parametrize("name, count, classes", [("phantom", 40, 2), ("phantom_types", 40, 10)])
def test_phantoms_are_what_their_seed_draws(tmp_path, name, count, classes):
    summary = prepare(Request(name, data_dir=tmp_path, count=count, side=32, seed=5))
    assert set(summary.taken.values()) == {count // classes}
    prepared = open_prepared(name, tmp_path)
    for i in range(0, count, 9):
        fracture = str(prepared.attributes["fracture_type"][i])
        drawn = draw(
            int(prepared.attributes["seed"][i]), None if fracture == "none" else fracture, 32
        )
        with Image.open(io.BytesIO(prepared.image_bytes(i))) as stored:
            np.testing.assert_array_equal(np.asarray(stored), drawn.image)
        assert (drawn.box is None) == (len(prepared.boxes[i]) == 0)
        if drawn.box is not None:
            expected = (np.array([drawn.box]) / 32).clip(0, 1)
            np.testing.assert_allclose(prepared.boxes[i], expected, atol=1e-6)
            assert prepared.classes[prepared.label[i]] in ("fracture", fracture)
    assert len(set(prepared.attributes["seed"].tolist())) == count
