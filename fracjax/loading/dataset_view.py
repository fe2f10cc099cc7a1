"""The studies that a config asks for: a prepared dataset, its split, the classes that are kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from fracjax.config import Data, fold_of
from fracjax.config.class_names import as_known, class_key, flag_words, roles
from fracjax.datasets.folds import fold_indices
from fracjax.datasets.prepared import Prepared, open_prepared
from fracjax.datasets.splits import Split
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.loading.batch import Examples
from fracjax.loading.decoded_cache import open_decoded


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset with its split, opened and checked once, seen through a config."""

    data: Data
    prepared: Prepared
    split: Split

    @property
    def split_hash(self) -> str:
        """Hash of the split file; with a fold, of the studies that it validates on as well."""
        if self.data.fold is None:
            return self.split.hash
        held = sorted(self.prepared.study[self.indices("validation")].tolist())
        return hashlib.sha256("\n".join([self.split.hash, *held]).encode()).hexdigest()

    @property
    def form(self) -> ImageFormat:
        """What the config has the images of this dataset decoded to."""
        asked = self.data.channels
        colour = self.prepared.colour.any() if asked == "auto" else asked == "colour"
        return ImageFormat(self.data.image_size, self.data.fit, channels=3 if colour else 1)

    def part(self, name: str, form: ImageFormat | None = None) -> Examples:
        """One part of the split, its images in the config's form by default.

        The whole dataset is decoded the first time that it is asked for.

        Raises:
          InputError: the part holds no study of one of the classes, or a record does not decode.
        """
        index = self.indices(name)
        label = self.labels(index)
        absent = [c for i, c in enumerate(self.data.classes) if not np.any(label == i)]
        if absent:
            raise InputError(
                f"the {name} part of {self.prepared.name} holds no study of {', '.join(absent)}; "
                "prepare more studies, or leave the class out of data.classes"
            )
        return Examples(
            study=self.prepared.study[index],
            image=open_decoded(self.prepared, form or self.form),
            label=label,
            group=self.prepared.group[index],
            attributes={n: column[index] for n, column in self.prepared.attributes.items()},
            row=index,
        )

    def indices(self, name: str) -> Int[np.ndarray, " n"]:
        """Records of a part that are of a wanted class; of a fold, if the config names one."""
        fold = fold_of(self.data.fold)
        parts = [name] if fold is None or name == "test" else ["train", "validation"]
        pool = np.sort(np.concatenate([self.split.indices(self.prepared, p) for p in parts]))
        pool = pool[self.labels(pool) >= 0]
        if fold is None or name == "test":
            return pool
        train, validation = fold_indices(
            self.prepared.label[pool],
            self.prepared.group[pool],
            fold=fold,
            seed=self.split.seed,
            source=self.prepared.name,
        )
        return pool[train if name == "train" else validation]

    def labels(self, index: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Of records the number of their class in the config; -1 where it is left out."""
        kept = [class_key(name) for name in self.data.classes]
        known = map(class_key, self.prepared.classes)
        number = np.array([kept.index(key) if key in kept else -1 for key in known])
        return number[self.prepared.label[index]]


def open_dataset(data: Data, data_dir: Path | None = None) -> Dataset:
    """Open the dataset and the split that a config names, in `data_dir` if they were moved.

    Raises:
      InputError: the dataset is not prepared, the split file is missing, leaks or is of another
        dataset, or a class does not exist.
    """
    prepared = open_prepared(data.name, data_dir or data.dir)
    known = prepared.classes
    meant = as_known(data.classes, known)
    unknown = [c for c, name in zip(data.classes, meant, strict=True) if name is None]
    if unknown:
        raise InputError(
            f"{data.name} has no class {', '.join(map(repr, unknown))}; its {len(known)} classes "
            f"are {', '.join(map(repr, known))}: correct data.classes"
        )
    if len(known) == 2 and meant == known[::-1]:
        raise InputError(
            f"{data.name} was prepared with {roles(known)}, and data.classes makes it "
            f"{roles(data.classes)}: write data.classes {flag_words(known)}, or prepare it again "
            f"with --classes {flag_words(known[::-1])}"
        )
    split = Split.load(prepared.directory / data.split)
    split.check(prepared)
    return Dataset(data, prepared, split)
