"""MURA: 40,005 published radiographs of the upper limb, in 14,656 studies, normal or abnormal.

Source: Rajpurkar et al. 2017, arXiv:1712.06957; Stanford AIMI, under its research use agreement.
A study is labelled as a whole, and its images are taken one by one; all of a patient are of one
group. `train` and `valid` are kept as the attribute `published_part`.
"""

import csv
import re
from functools import partial
from pathlib import Path

from fracjax.datasets.sources.archive import Contents, Source, Study
from fracjax.errors import InputError

CLASSES = ("normal", "abnormal")
_TABLES = ("train_labeled_studies.csv", "valid_labeled_studies.csv")
_STUDY = r"(train|valid)/XR_([A-Z]+)/(patient\d+)/(study\d+)_(negative|positive)"
_IMAGE = re.compile(rf"({_STUDY})/[^/]+")
_LISTED = re.compile(rf"(?:.*/)?({_STUDY})/?")


def mura(path: Path) -> Contents:
    """What the published zip, or its unpacked folder, holds."""
    source = Source(path)
    root = source.root_of([*_TABLES, "train/", "valid/"], "the zip of MURA or its folder MURA-v1.1")
    listed: dict[str, str] = {}  # study -> its class
    for table in _TABLES:
        listed |= _read_labels(source.read(root + table), root + table)
    inner = [file.removeprefix(root) for file in source.names if file.startswith(root)]
    images = [file for file in inner if file.startswith(("train/", "valid/"))]
    studies = [_image(source, root, file, listed) for file in images]
    present = {found[1] for study in studies if (found := _IMAGE.fullmatch(study.study))}
    studies += [
        Study(study=name, path=name, label=label, read=partial(source.read, name),
              problem="missing: a labelled study without an image")
        for name, label in listed.items()
        if name not in present
    ]  # fmt: skip
    return Contents(
        name="mura",
        skipped=source.skipped,
        description="MURA: radiographs of the upper limb, of normal or abnormal studies.",
        homepage="https://aimi.stanford.edu/datasets/mura-msk-xrays",
        classes=CLASSES,
        studies=studies,
        group_by="patient",
    )


def _image(source: Source, root: str, file: str, listed: dict[str, str]) -> Study:
    problem, label = None, ""
    attributes: dict[str, str] = dict.fromkeys(("part", "patient", "visit", "published_part"), "")
    if found := _IMAGE.fullmatch(file):
        name, part, body, patient, visit, called = found.groups()
        label = CLASSES[called == "positive"]
        attributes = {
            "part": body.lower(),
            "patient": patient,
            "visit": f"{patient} {body.lower()} {visit}",
            "published_part": part,
        }
        if name not in listed:
            problem = f"no label: its study is not in {part}_labeled_studies.csv"
        elif listed[name] != label:
            problem = f"label conflict: it lies in {called}, the table says {listed[name]}"
    else:
        problem = "not of MURA's layout: expected train/XR_PART/patientN/studyN_positive/image.png"
    return Study(
        study=file,
        path=root + file,
        label=label,
        read=partial(source.read, root + file),
        attributes=attributes,
        problem=problem,
    )


def _read_labels(data: bytes, path: str) -> dict[str, str]:
    """Study -> its class, of a table without header: MURA-v1.1/train/.../study1_positive/,1."""
    labels: dict[str, str] = {}
    problems = []
    for line, row in enumerate(csv.reader(data.decode("utf-8-sig", "replace").splitlines()), 1):
        found = _LISTED.fullmatch(row[0].strip()) if len(row) == 2 else None
        if row and (found is None or row[1].strip() not in ("0", "1")):
            problems.append(f"line {line}: {','.join(row)}")
        elif found:
            labels[found[1]] = CLASSES[int(row[1])]
    if problems:
        raise InputError(
            f"{path}: {len(problems)} bad lines, expected train/XR_PART/patientN/studyN_positive/ "
            f"and 0 or 1: {'; '.join(problems[:20])}"
        )
    return labels
