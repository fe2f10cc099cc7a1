"""The studies that a config asks for: a prepared dataset, its split, the classes that are kept."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from fracjax.config import Config, Data, fold_of, value_of
from fracjax.config.class_names import as_known, class_key, flag_words, roles
from fracjax.datasets.folds import fold_indices, left_out_indices
from fracjax.datasets.leakage import Gone, Seen, Studies
from fracjax.datasets.prepared import Prepared, open_prepared
from fracjax.datasets.splits import Split
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.loading.batch import Examples
from fracjax.loading.decoded_cache import open_decoded

SEEN_BEFORE = {"validation": ("train",), "test": ("train", "validation")}
"""The parts that may be evaluated, and of each those that a network was fitted or chosen on."""
_MOST_SOURCES = 30  # networks that are trained at once


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
        size, channels = self.data.image_size, 3 if colour else 1
        return ImageFormat(size, self.data.fit, channels, self.prepared.depth)

    def part(
        self, name: str, form: ImageFormat | None = None, *, every_class: bool = True
    ) -> Examples:
        """One part of the split, its images in the config's form by default.

        The whole dataset is decoded the first time that it is asked for.

        Raises:
          InputError: the part holds no study of one of the classes (unless `every_class` is
            off), or a record does not decode.
        """
        index = self.indices(name)
        label = self.labels(index)
        absent = [c for i, c in enumerate(self.data.classes) if not np.any(label == i)]
        if absent and every_class:
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
        fold, source = fold_of(self.data.fold), value_of(self.data.fold)
        if name == "test" or (fold or source) is None:
            return self._of_classes(name)
        pool, group = self._pool, self.prepared.group[self._pool]
        if source is None:
            how = {"fold": fold, "seed": self.split.seed, "source": self.prepared.name}
            rows = fold_indices(self.prepared.label[pool], group, **how)
        else:
            column, value = source
            if value not in (known := self.sources(column)):
                raise InputError(
                    f"data.fold is {self.data.fold}: no study of training and validation has this "
                    f"{column}; they have {', '.join(known)}"
                )
            rows = left_out_indices(self._column(column)[pool], group, value)
        return pool[rows[0 if name == "train" else 1]]

    def sources(self, column: str) -> list[str]:
        """Values of a column among training and validation, each of which can be left out once.

        Raises:
          InputError: no such column, a study without a value, a single value or very many, or one
            without a study of every class, on which nothing can be validated.
        """
        value, what = self._column(column)[self._pool], f"leaving out one {column} at a time"
        label, known = self.prepared.label[self._pool], sorted(set(value.tolist()))
        classes = set(label.tolist())
        lacking = [v for v in known if set(label[value == v].tolist()) < classes]
        problems = {
            f"{(value == '').sum()} studies have none": "" in known,
            f"all studies have {known[0]!r}": len(known) == 1,
            f"there are {len(known)}, and each trains a network: at most {_MOST_SOURCES}": (
                len(known) > _MOST_SOURCES
            ),
            f"{', '.join(lacking[:5])}: not of every class, so nothing can be validated there": (
                bool(lacking)
            ),
        }
        if found := [problem for problem, broken in problems.items() if broken]:
            raise InputError(f"{what}, of {self.prepared.name}: {'; '.join(found)}")
        return known

    @cached_property
    def _pool(self) -> Int[np.ndarray, " n"]:
        """Records of training and validation of wanted classes, from which folds are cut."""
        parts = [self._of_classes(part) for part in ("train", "validation")]
        return np.sort(np.concatenate(parts))

    def _of_classes(self, part: str) -> Int[np.ndarray, " n"]:
        index = self.split.indices(self.prepared, part)
        return index[self.labels(index) >= 0]

    def _column(self, name: str) -> Shaped[np.ndarray, " n"]:
        """A column of the dataset as text; refused if there is none."""
        if name not in self.prepared.attributes:
            there = ", ".join(self.prepared.attributes) or "none"
            raise InputError(
                f"{self.prepared.name} has no column {name!r}; its columns are {there}"
            )
        return np.char.strip(self.prepared.attributes[name].astype(str))

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


def studies_of(dataset: Dataset, *parts: str) -> Studies:
    """The studies of some parts, as an audit names them."""
    name = f"{' and '.join(parts)} of {dataset.prepared.name}"
    index = np.concatenate([dataset.indices(part) for part in parts])
    return Studies(name, dataset.prepared, index)


def seen_files(dataset: Dataset) -> dict[str, list[str]]:
    """SHA-256 of the files of training and of validation, for `seen_studies`."""
    return {
        part: sorted(set(dataset.prepared.sha256[dataset.indices(part)].tolist()))
        for part in SEEN_BEFORE["test"]
    }


def seen_studies(
    config: Config,
    files: Mapping[str, Sequence[str]],
    parts: Sequence[str],
    data_dir: Path | None = None,
) -> list[Seen]:
    """What a run of a config has seen, by the files of some parts, however they are split now.

    As records where its dataset is at hand and has them; of others the digests alone are left.
    """
    data = config.data
    what = f"{' and '.join(parts)} of {data.name} (of {config.workdir})"
    wanted = {sha256 for part in parts for sha256 in files[part]}
    try:
        prepared = open_prepared(data.name, data_dir or data.dir)
    except InputError as error:
        return [Gone(what, wanted, str(error))]
    index = np.flatnonzero(np.isin(prepared.sha256, list(wanted)))
    gone = wanted.difference(prepared.sha256[index].tolist())
    seen: list[Seen] = [Studies(what, prepared, index)] if index.size else []
    if gone:
        seen.append(Gone(what, gone, f"{prepared.directory} has these files no longer"))
    return seen
