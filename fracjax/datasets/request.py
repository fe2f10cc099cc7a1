"""What a user may ask `prepare` for. No heavy imports: a wrong flag is answered at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fracjax.config.class_names import class_key, flag_words, roles, says_the_opposite
from fracjax.errors import InputError

FRACTIONS = (0.70, 0.15, 0.15)  # train, validation, test
Name = Literal[
    "fracatlas",
    "bone_break",
    "mura",
    "grazpedwri_dx",
    "folder",
    "table",
    "phantom",
    "phantom_types",
]


@dataclass(frozen=True)
class Request:
    """Which dataset to prepare, from what, into what."""

    name: Name
    """Which dataset: four published ones, your own by folders or by a table, or synthetic ones."""
    source: Path | None = None
    """All but phantoms: the zip, or the folder unpacked from it."""
    data_dir: Path = Path("data")
    """Folder of all prepared datasets; this one goes to DATA_DIR/NAME."""
    save_as: str | None = None
    """folder, table: name to prepare it under. None for "folder" or "table"."""
    classes: tuple[str, ...] = ()
    """folder, table: classes to take; of two the negative one first. Without it all are taken; of
    two then name the positive one with --positive."""
    positive: str = ""
    """folder, table: of two classes the positive one, whose studies are to be found."""
    labels: Path | None = None
    """table: CSV with the columns `file` and `label`, and, if you have them, `part` (of the body),
    `patient` and others. Images of a patient are kept together."""
    attributes: Path | None = None
    """folder: CSV with a column `filename` and one column per attribute."""
    count: int | None = None
    """phantom, phantom_types: number of studies. None for 2,400 and 1,200."""
    side: int | None = None
    """phantom, phantom_types: height and width, pixels. None for 96."""
    depth: int | None = None
    """All but phantoms: bits of the values in files of more than 8 bits that do not say how many
    (16-bit PNG and TIFF, DICOM whose BitsStored is 16). None for the smallest of 8, 12, 14 and 16
    that holds 90 % of these files. Files of 8 bits, and those that say their bits, stay as they
    are."""
    group_by: str | None = None
    """Column whose studies belong together, such as patient: split, folds, leakage audit and all
    intervals keep them so, joined with near duplicates."""
    split_by: str | None = None
    """Column that gives each study its part (train, val or test), checked for leaks. A part that is
    not in it is cut from train."""
    new_split: bool = False
    """Split anew, whatever parts the folders on top (train, val, test) or an earlier preparation
    give."""
    replace: bool = False
    """Allow what an earlier preparation holds to be replaced: files, labels, groups. Without it
    studies are only added. Studies that stay keep their parts."""
    seed: int = 0
    """Of the split and, for phantoms, of the limbs."""
    fractions: tuple[float, float, float] = FRACTIONS
    """Of train, validation and test; they add up to 1."""

    @property
    def destination(self) -> Path:
        """DATA_DIR/NAME."""
        return self.data_dir / (self.save_as or self.name)


_MOST_BITS = 31  # of a value in a TIFF of 32
DRAWN = ("phantom", "phantom_types")
"""The datasets of which no image is a patient's."""
_BELONGS = {
    "source": ("fracatlas", "bone_break", "mura", "grazpedwri_dx", "folder", "table"),
    "save_as": ("folder", "table"),
    "classes": ("folder", "table"),
    "positive": ("folder", "table"),
    "labels": ("table",),
    "attributes": ("folder",),
    "depth": ("fracatlas", "bone_break", "mura", "grazpedwri_dx", "folder", "table"),
    "count": DRAWN,
    "side": DRAWN,
}
# By hand, all: of some we could verify no checksum, the others want a sign-in.
_FETCH = {
    "fracatlas": "download FracAtlas.zip (about 323 MB, CC BY 4.0) by hand from "
    "https://figshare.com/articles/dataset/The_dataset/22363012",
    "bone_break": "sign in and download the zip (CC BY 4.0) by hand from "
    "https://www.kaggle.com/datasets/pkdarabi/bone-break-classification-image-dataset",
    "mura": "sign its agreement and download MURA-v1.1.zip by hand from "
    "https://aimi.stanford.edu/datasets/mura-msk-xrays",
    "grazpedwri_dx": "download dataset.csv, the four zips of images and folder_structure.zip (CC "
    "BY 4.0) by hand from https://doi.org/10.6084/m9.figshare.14825193; unpack all into one folder",
}


def check(request: Request) -> None:
    """Refuse flags that do not fit the dataset, all of them at once."""
    problems = [
        f"--{flag.replace('_', '-')} is only for {', '.join(names)}"
        for flag, names in _BELONGS.items()
        if getattr(request, flag) not in (None, (), "") and request.name not in names
    ]
    if request.name in _BELONGS["source"] and request.source is None:
        problems.append(f"--source is needed: {how_to(request.name, request.data_dir)}")
    if request.name == "table" and request.labels is None:
        problems.append("--labels is needed: a CSV with the columns file and label")
    name = request.save_as
    if name is not None and (name in ("", "..", *_FETCH, *DRAWN) or Path(name).name != name):
        problems.append(
            f"--save-as {name!r}: expected a plain name of its own, such as clinic_2024"
        )
    if request.new_split and request.split_by is not None:
        problems.append(f"--new-split and --split-by {request.split_by}: write one of them")
    if request.depth is not None and not 8 <= request.depth <= _MOST_BITS:
        problems.append(
            f"--depth is {request.depth}: expected the bits of a value, 8 to {_MOST_BITS}, such as "
            "12"
        )
    if problems:
        raise InputError("; ".join(problems))


def classes_of(request: Request, found: Sequence[str]) -> tuple[str, ...]:
    """The classes to take of those that a source has, of two the negative one first.

    Names are matched whatever their case and Unicode form, and spelt as in the request.

    Raises:
      InputError: a class that is not there, fewer than two, or two whose roles nobody names, or
        that say the opposite of what was named.
    """
    asked, positive = request.classes or tuple(found), request.positive
    there = {class_key(name) for name in found}
    absent = [name for name in request.classes if class_key(name) not in there]
    keys = [class_key(name) for name in asked]
    others = [name for name in asked if class_key(name) != class_key(positive)]
    listed = ", ".join(map(repr, found)) or "(none)"
    checks = {
        f"there is no class {', '.join(map(repr, absent))}": absent,
        "a class is named twice": len(set(keys)) < len(keys),
        "fewer than two classes": len(asked) < 2,
        f"--positive {positive!r} is none of the classes": positive and len(others) == len(asked),
        f"--positive is for two classes, and these are {len(asked)}: name two with --classes": (
            positive and len(asked) > 2
        ),
    }
    problems = [problem for problem, wrong in checks.items() if wrong]
    if not problems and len(asked) == 2:
        if positive:
            asked = (*others, positive)
        ways = [way for way in (asked, asked[::-1]) if not says_the_opposite(way)]
        write = " or ".join(f"--classes {flag_words(way)}" for way in ways)
        if not (positive or request.classes):
            problems = [f"which of two classes is negative must be said: write {write}"]
        elif asked not in ways:
            problems = [
                f"{roles(asked)} is the opposite of what the names say: write {write}, or rename "
                "the classes"
            ]
    if problems:
        where = f"--labels {request.labels}" if request.labels else f"--source {request.source}"
        raise InputError(f"{where}: {'; '.join(problems)}; found {listed}")
    return asked


def how_to(name: str, data_dir: Path) -> str:
    """What to fetch and what to type to have a dataset prepared."""
    where = f"--data-dir {data_dir}"
    if name in DRAWN:
        return f"run: fracjax prepare {name} {where}"
    if name in _FETCH:
        run = f"fracjax prepare {name} {where} --source ZIP_OR_UNPACKED_FOLDER"
        return f"{_FETCH[name]}, then run: {run}"
    if name == "table":
        return f"run: fracjax prepare table {where} --source FOLDER --labels CSV"
    save_as = "" if name == "folder" else f" --save-as {name}"
    return f"run: fracjax prepare folder {where}{save_as} --source FOLDER_WITH_ONE_FOLDER_PER_CLASS"
