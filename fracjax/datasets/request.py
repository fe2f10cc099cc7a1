"""What a user may ask `prepare` for. No heavy imports: a wrong flag is answered at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fracjax.errors import InputError

FRACTIONS = (0.70, 0.15, 0.15)  # train, validation, test
Name = Literal["fracatlas", "bone_break", "folder", "phantom", "phantom_types"]


@dataclass(frozen=True)
class Request:
    """Which dataset to prepare, from what, into what."""

    name: Name
    """Which dataset: two published ones, your own folders, or synthetic radiographs."""
    source: Path | None = None
    """fracatlas, bone_break, folder: the zip, or the folder unpacked from it."""
    data_dir: Path = Path("data")
    """Folder of all prepared datasets; this one goes to DATA_DIR/NAME."""
    save_as: str | None = None
    """folder: name to prepare it under. None for "folder"."""
    classes: tuple[str, ...] | None = None
    """folder: class folders to take, the negative class first. None for all, alphabetically."""
    attributes: Path | None = None
    """folder: CSV with a column `filename` and one column per attribute."""
    count: int | None = None
    """phantom, phantom_types: number of studies. None for 2,400 and 1,200."""
    side: int | None = None
    """phantom, phantom_types: height and width, pixels. None for 96."""
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


DRAWN = ("phantom", "phantom_types")
"""The datasets of which no image is a patient's."""
_BELONGS = {
    "source": ("fracatlas", "bone_break", "folder"),
    "save_as": ("folder",),
    "classes": ("folder",),
    "attributes": ("folder",),
    "count": DRAWN,
    "side": DRAWN,
}
# By hand, both: of one we could verify no checksum, the other wants a sign-in.
_FETCH = {
    "fracatlas": "download FracAtlas.zip (about 323 MB, CC BY 4.0) by hand from "
    "https://figshare.com/articles/dataset/The_dataset/22363012",
    "bone_break": "sign in and download the zip (CC BY 4.0) by hand from "
    "https://www.kaggle.com/datasets/pkdarabi/bone-break-classification-image-dataset",
}


def check(request: Request) -> None:
    """Refuse flags that do not fit the dataset, all of them at once."""
    problems = [
        f"--{flag.replace('_', '-')} is only for {', '.join(names)}"
        for flag, names in _BELONGS.items()
        if getattr(request, flag) is not None and request.name not in names
    ]
    if request.name in _BELONGS["source"] and request.source is None:
        problems.append(f"--source is needed: {how_to(request.name, request.data_dir)}")
    name = request.save_as
    if name is not None and (name in ("", "..", *_FETCH, *DRAWN) or Path(name).name != name):
        problems.append(
            f"--save-as {name!r}: expected a plain name of its own, such as clinic_2024"
        )
    if request.new_split and request.split_by is not None:
        problems.append(f"--new-split and --split-by {request.split_by}: write one of them")
    if problems:
        raise InputError("; ".join(problems))


def how_to(name: str, data_dir: Path) -> str:
    """What to fetch and what to type to have a dataset prepared."""
    where = f"--data-dir {data_dir}"
    if name in DRAWN:
        return f"run: fracjax prepare {name} {where}"
    if name in _FETCH:
        run = f"fracjax prepare {name} {where} --source ZIP_OR_UNPACKED_FOLDER"
        return f"{_FETCH[name]}, then run: {run}"
    save_as = "" if name == "folder" else f" --save-as {name}"
    return f"run: fracjax prepare folder {where}{save_as} --source FOLDER_WITH_ONE_FOLDER_PER_CLASS"
