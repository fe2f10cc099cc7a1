"""The record that every dataset is written in, and the tfds builder that writes it.

tensorflow-datasets works without TensorFlow as long as records are ArrayRecord and are read as a
data source; both are settled here, once.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fracjax.datasets.prepared import EVERYTHING
from fracjax.datasets.sources.archive import Contents, Study

VERSION = "1.0.0"


def write_records(contents: Contents, taken: Sequence[tuple[Study, str]], data_dir: Path) -> Path:
    """Write these studies, with their groups; tfds has them in an order of its own.

    Returns:
      `data_dir/<name>`, in which tfds writes to a folder `VERSION`.
    """
    builder = _Builder(contents, taken, data_dir)
    # tfds announces a download that is none, and counts files with nested bars.
    tfds.disable_progress_bar()
    with redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    return data_dir / contents.name


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version(VERSION)
    # Else tfds looks for a list of URLs beside our code, with an import it does not declare.
    code_path = None

    def __init__(self, contents: Contents, taken: Sequence[tuple[Study, str]], data_dir: Path):
        self.name = contents.name  # pyright: ignore[reportAttributeAccessIssue]
        self.contents, self.taken = contents, taken
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        scalar = {int: tfds.features.Scalar(np.int32), str: tfds.features.Text()}
        attributes = {name: scalar[kind] for name, kind in self.contents.attributes.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.contents.description,
            homepage=self.contents.homepage,
            features=tfds.features.FeaturesDict(
                {
                    "study": tfds.features.Text(),
                    # The encoded file, byte for byte. The audit has seen that it decodes.
                    "image": tfds.features.Image(shape=(None, None, None)),
                    "label": tfds.features.ClassLabel(names=list(self.contents.classes)),
                    "group": tfds.features.Text(),
                    "boxes": tfds.features.Sequence(tfds.features.BBoxFeature()),
                    # The (y, x) points of all outlines one after the other, and how many each has.
                    "mask_points": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
                    "mask_lengths": tfds.features.Sequence(np.int32),
                    "attributes": tfds.features.FeaturesDict(attributes),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {EVERYTHING: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for study, group in self.taken:
            yield (
                study.study,
                {
                    "study": study.study,
                    "image": study.read(),
                    "label": study.label,
                    "group": group,
                    "boxes": [tfds.features.BBox(*map(float, box)) for box in study.boxes],
                    "mask_points": np.concatenate([np.zeros((0, 2), np.float32), *study.masks]),
                    "mask_lengths": np.array([len(mask) for mask in study.masks], np.int32),
                    "attributes": study.attributes,
                },
            )
