"""A prepared dataset, opened for random access. No picture is decoded here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Bool, Float32, Int32

from fracjax.datasets.manifest import TAKEN, Row, read_manifest
from fracjax.datasets.records import EVERYTHING
from fracjax.datasets.request import how_to
from fracjax.errors import InputError

MANIFEST, SPLITS = "manifest.csv", "splits.json"
DECODED = "decoded"  # folder for a cache of decoded pictures; a new preparation drops it


@dataclass(frozen=True)
class Prepared:
    """Records of one dataset. Picklable: a worker opens the files anew.

    Attributes:
      name: of the dataset.
      directory: DATA_DIR/NAME, with the records, manifest.csv and splits.json.
      classes: in the order of their indices.
      study: unique name of each record.
      label: index into `classes`.
      group: near-duplicate group of each.
      sha256: of each encoded picture, in hexadecimal.
      colour: whether it has colour; a grey picture may still be stored with three channels.
      attributes: name -> one value per record (int32 or str).
      boxes: per record (ymin, xmin, ymax, xmax) of each finding, as fractions of the height and
        width of the picture as displayed: apply its EXIF orientation before you use them.
      masks: per record one outline per box, (y, x) points as the same fractions; may be empty.
    """

    name: str
    directory: Path
    classes: tuple[str, ...]
    study: np.ndarray
    label: Int32[np.ndarray, "n"]
    group: np.ndarray
    sha256: np.ndarray
    colour: Bool[np.ndarray, "n"]
    attributes: Mapping[str, np.ndarray]
    boxes: list[Float32[np.ndarray, "_ 4"]]
    masks: list[tuple[Float32[np.ndarray, "_ 2"], ...]]

    def __len__(self) -> int:
        return len(self.study)

    def image_bytes(self, index: int) -> bytes:
        """The encoded picture of one record, byte for byte the file of the source."""
        return self._images[index]["image"]

    @property
    def manifest_path(self) -> Path:
        """The CSV of every file of the source, taken or refused."""
        return self.directory / MANIFEST

    @property
    def split_path(self) -> Path:
        """The split made with it, for `Split.load`."""
        return self.directory / SPLITS

    @cached_property
    def _images(self) -> Any:
        return _data_source(_builder(self.directory))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_images"}


def open_prepared(name: str, data_dir: Path) -> Prepared:
    """Open DATA_DIR/NAME, as written by `fracjax prepare`.

    Raises:
      UserError: it is missing or incomplete; the message has the command that prepares it.
    """
    builder = _open_builder(name, data_dir)
    features = cast(tfds.features.FeaturesDict, builder.info.features)
    kinds = cast(tfds.features.FeaturesDict, features["attributes"])
    records = list(_data_source(builder))
    study = [_text(record["study"]) for record in records]
    rows = _rows_of(study, name, Path(data_dir))
    return Prepared(
        name=name,
        directory=Path(data_dir) / name,
        classes=_classes(builder),
        study=np.array(study),
        label=np.array([record["label"] for record in records], np.int32),
        group=np.array([_text(record["group"]) for record in records]),
        sha256=np.array([row.sha256 for row in rows]),
        colour=np.array([row.channels == 3 for row in rows], bool),
        attributes={
            key: _column([record["attributes"][key] for record in records]) for key in kinds
        },
        boxes=[np.asarray(record["boxes"], np.float32).reshape(-1, 4) for record in records],
        masks=[_masks(record) for record in records],
    )


def classes_of(name: str, data_dir: Path) -> tuple[str, ...]:
    """The classes of a prepared dataset, in the order of their indices; no record is read.

    Raises:
      UserError: as `open_prepared`.
    """
    return _classes(_open_builder(name, data_dir))


def _rows_of(study: list[str], name: str, data_dir: Path) -> list[Row]:
    """The manifest's row of each record, in the order of the records."""
    try:
        rows = read_manifest(data_dir / name / MANIFEST)
        of_study = {row.study: row for row in rows if row.status == TAKEN}
        if absent := set(study) - of_study.keys():
            raise ValueError(f"{len(absent)} records missing, first {min(absent)}")
    except ValueError as error:
        raise InputError(
            f"dataset {name!r} was prepared by an earlier version ({MANIFEST}: {error}); "
            + how_to(name, data_dir)
        ) from error
    return [of_study[one] for one in study]


def _open_builder(name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    directory = Path(data_dir) / name
    wanted = (directory, directory / MANIFEST, directory / SPLITS)
    if missing := [path for path in wanted if not path.exists()]:
        raise InputError(
            f"dataset {name!r} is not prepared: no {missing[0]}; {how_to(name, data_dir)}"
        )
    try:
        return _builder(directory)
    except (OSError, ValueError, IndexError) as error:
        raise InputError(
            f"dataset {name!r}: records in {directory} cannot be opened ({error}); "
            + how_to(name, data_dir)
        ) from error


def _classes(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    features = cast(tfds.features.FeaturesDict, builder.info.features)
    return tuple(cast(tfds.features.ClassLabel, features["label"]).names)


def _builder(directory: Path) -> tfds.core.DatasetBuilder:
    versions = sorted(path.parent for path in directory.glob("*/dataset_info.json"))
    if not versions:
        raise FileNotFoundError("no dataset_info.json")
    return tfds.builder_from_directory(str(versions[-1]))


def _data_source(builder: tfds.core.DatasetBuilder) -> Any:
    encoded = {"image": tfds.decode.SkipDecoding()}
    # tfds decorates the method and thereby hides its signature.
    return builder.as_data_source(split=EVERYTHING, decoders=encoded)  # pyright: ignore


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _column(values: list[Any]) -> np.ndarray:
    if values and isinstance(values[0], bytes | str):
        return np.array([_text(value) for value in values])
    return np.array(values, np.int32)


def _masks(record: dict[str, Any]) -> tuple[Float32[np.ndarray, "_ 2"], ...]:
    ends = np.cumsum(np.asarray(record["mask_lengths"], np.int32))
    return tuple(np.split(record["mask_points"], ends[:-1])) if len(ends) else ()
