"""The studies that a config asks for: a prepared dataset, its split, the classes that are kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fracjax.config import Data
from fracjax.datasets import splits
from fracjax.datasets.prepared import Prepared, open_prepared
from fracjax.errors import UserError
from fracjax.pipeline.decode import decode_all
from fracjax.pipeline.stream import Examples


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset with its split, seen through a config."""

    data: Data
    prepared: Prepared
    split: splits.Split

    def part(self, name: str, side: int | None = None) -> Examples:
        """Decode one part of the split.

        Args:
          name: train, validation or test.
          side: side of the pictures in pixels; the config's by default.

        Raises:
          UserError: the part holds no study of one of the classes.
        """
        index = self.split.indices(self.prepared, name)
        wanted = [self.prepared.classes.index(c) for c in self.data.classes]
        index = index[np.isin(self.prepared.label[index], wanted)]
        renumber = np.full(len(self.prepared.classes), -1)
        renumber[wanted] = np.arange(len(wanted))
        label = renumber[self.prepared.label[index]]
        absent = [c for i, c in enumerate(self.data.classes) if not np.any(label == i)]
        if absent:
            raise UserError(
                f"the {name} part of {self.prepared.name} holds no study of {', '.join(absent)}; "
                "prepare more studies, or leave the class out of data.classes"
            )
        return Examples(
            study=self.prepared.study[index],
            image=decode_all(self.prepared, index, side or self.data.image_size),
            label=label,
            group=self.prepared.group[index],
            attributes={n: column[index] for n, column in self.prepared.attributes.items()},
        )


def open_dataset(data: Data, data_dir: Path | None = None) -> Dataset:
    """Open the dataset and the split that a config names, in `data_dir` if they were moved.

    Raises:
      UserError: the dataset is not prepared, the split file is missing, leaks or is of another
        dataset, or a class does not exist.
    """
    prepared = open_prepared(data.name, data_dir or data.dir)
    unknown = [c for c in data.classes if c not in prepared.classes]
    if unknown:
        raise UserError(
            f"{data.name} has no class {', '.join(map(repr, unknown))}; its classes are "
            f"{', '.join(map(repr, prepared.classes))}: mend data.classes"
        )
    return Dataset(data, prepared, splits.Split.load(prepared.directory / data.split))
