"""The record that every dataset is written in, and the tfds builder that writes it.

tensorflow-datasets works without TensorFlow as long as records are ArrayRecord and are read as a
data source; both are settled here, once.
"""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fracjax.datasets.manifest import TAKEN, ManifestRow, examine
from fracjax.datasets.prepared import EVERYTHING
from fracjax.datasets.sources.archive import Study
from fracjax.errors import InputError

FILE_FORMAT = "array_record"


class RecordBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A dataset of studies, audited before they are written.

    A subclass calls `super().__init__` with its classes and says in `studies` what its source
    holds. After `download_and_prepare()`, `rows` is the manifest and `taken` what each study has
    that was written.

    Args:
      classes: in the order of their indices.
      attributes: name -> int or str, the attributes that every study carries.
      similarity: that joins near duplicates, see `near_duplicate_groups`; None for no grouping.
      data_dir: tfds writes below `data_dir/<name>/<version>`.
    """

    VERSION = tfds.core.Version("1.0.0")
    # Else tfds looks for a list of URLs beside our code, with an import it does not declare.
    code_path = None
    description = ""
    homepage = ""

    def __init__(
        self,
        *,
        classes: tuple[str, ...],
        attributes: dict[str, type],
        similarity: float | None,
        data_dir: Path,
    ):
        self.classes = classes
        self.attributes = attributes
        self.similarity = similarity
        self.rows: list[ManifestRow] = []
        self.taken: dict[str, Study] = {}
        super().__init__(data_dir=str(data_dir), file_format=FILE_FORMAT)

    @abstractmethod
    def studies(self) -> list[Study]:
        """Every file of the source, good or bad."""

    def _info(self) -> tfds.core.DatasetInfo:
        scalar = {int: tfds.features.Scalar(np.int32), str: tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.description,
            homepage=self.homepage,
            features=tfds.features.FeaturesDict(
                {
                    "study": tfds.features.Text(),
                    # The encoded file, byte for byte. The audit has seen that it decodes.
                    "image": tfds.features.Image(shape=(None, None, None)),
                    "label": tfds.features.ClassLabel(names=list(self.classes)),
                    "group": tfds.features.Text(),
                    "boxes": tfds.features.Sequence(tfds.features.BBoxFeature()),
                    # The (y, x) points of all outlines one after the other, and how many each has.
                    "mask_points": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
                    "mask_lengths": tfds.features.Sequence(np.int32),
                    "attributes": tfds.features.FeaturesDict(
                        {name: scalar[kind] for name, kind in self.attributes.items()}
                    ),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        studies = self.studies()
        self.rows = examine(studies, self.similarity)
        taken = [
            (study, row)
            for study, row in zip(studies, self.rows, strict=True)
            if row.status == TAKEN
        ]
        absent = sorted(set(self.classes) - {study.label for study, _ in taken})
        if absent:
            raise InputError(_nothing_left(absent, self.rows))
        self.taken = {study.study: study for study, _ in taken}
        return {EVERYTHING: self._generate_examples(taken)}

    def _generate_examples(
        self, taken: list[tuple[Study, ManifestRow]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for study, row in taken:
            yield study.study, _record(study, row)


def _record(study: Study, row: ManifestRow) -> dict[str, Any]:
    return {
        "study": study.study,
        "image": study.read(),
        "label": study.label,
        "group": row.group,
        "boxes": [tfds.features.BBox(*map(float, box)) for box in study.boxes],
        "mask_points": np.concatenate([np.zeros((0, 2), np.float32), *study.masks]),
        "mask_lengths": np.array([len(mask) for mask in study.masks], np.int32),
        "attributes": study.attributes,
    }


def _nothing_left(absent: list[str], rows: list[ManifestRow]) -> str:
    refused = [row for row in rows if row.status != TAKEN]
    first = "; ".join(f"{row.path}: {row.reason}" for row in refused[:3])
    return (
        f"no usable picture of: {', '.join(absent)} ({len(refused)} of {len(rows)} files refused"
        + (f", first: {first}" if first else "")
        + "); add pictures or leave the class out"
    )
