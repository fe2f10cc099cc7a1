"""The records of a prepared dataset: their schema, and their files.

tfds writes a description of the schema beside the records, and to read that means to import the
modules that it names. So it is not read: the schema is this one.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from fracjax.errors import InputError

EVERYTHING = "studies"  # the one split of the records ("all" is reserved); see splits.json
_FILE = re.compile(rf".*-{EVERYTHING}\.array_record-(\d+)-of-(\d+)")


def schema() -> Any:
    """What a record holds: the study's name, and the file of its image, byte for byte."""
    # Here, not above: it takes its time to import, and only images need it.
    import tensorflow_datasets as tfds

    image = tfds.features.Image(shape=(None, None, None))  # the audit has seen that it decodes
    return tfds.features.FeaturesDict({"study": tfds.features.Text(), "image": image})


class Records:
    """The records in a folder of theirs, in their order: each is {"study": bytes, "image": bytes}.

    Raises:
      InputError: of a file that is not there, or a record that cannot be read.
    """

    def __init__(self, folder: Path, way_out: str):
        self._folder, self._way_out = folder, way_out
        parts = sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name))
        told = {match[2] for path in parts if (match := _FILE.fullmatch(path.name))}
        if len(told) != 1 or len(parts) != int(told.pop()):
            found = ", ".join(path.name for path in parts) or "none"
            raise self._damaged(f"found {found} of its files")
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        try:
            self._source = ArrayRecordDataSource([str(path) for path in parts])
        except (RuntimeError, ValueError, OSError) as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, bytes]:
        features, decoders = self._schema
        try:
            return features.deserialize_example_np(self._source[index], decoders=decoders)
        except Exception as error:  # ArrayRecord and protobuf have no kind of their own
            raise self._damaged(f"record {index}: {error}") from error

    def __iter__(self) -> Iterator[dict[str, bytes]]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def _schema(self) -> tuple[Any, Any]:
        import tensorflow_datasets as tfds

        return schema(), {"image": tfds.decode.SkipDecoding()}

    def _damaged(self, what: object) -> InputError:
        said = " ".join(str(what).split())[:300]
        return InputError(f"the records in {self._folder} are damaged ({said}); {self._way_out}")
