"""Features of predicted files, `features.npz`: on the disk as they come, one file at the end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fracjax.errors import InputError
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.prediction_files import FileShard, Result
from fracjax.runtime.atomic_files import replacing
from fracjax.training.ensemble_configs import joined_runs

FEATURES = "features.npz"
ROWS = (f"{FEATURES}.stage1", f"{FEATURES}.stage2")  # of each stage, until it is written


def refuse_several(*stages: Path) -> None:
    """Refuse the folder of several runs: what enters their heads differs in its size and meaning.

    Raises:
      InputError: naming the runs.
    """
    for stage in stages:
        if runs := joined_runs(stage):
            raise InputError(
                f"features are what enters the heads of one run, and {stage} stands for "
                f"{len(runs)}: name one of {', '.join(map(str, runs))}, or leave features out"
            )


class FeatureRows:
    """What entered the heads of the stages, file by file, each with its row in predictions.csv."""

    def __init__(self, folder: Path, shard: FileShard, bundles: Sequence[Bundle]):
        self._folder, self._shard = folder, shard
        self._kinds = [
            np.dtype([("row", "<i8"), ("features", "<f4", _shape(bundle))]) for bundle in bundles
        ]
        self._files = [
            shard.path(folder / name).open("wb")
            for name, _ in zip(ROWS, bundles, strict=False)  # there may be one stage
        ]

    def add(self, row: int, result: Result) -> None:
        """The features of the file in a row, counted from 1, of the stages that saw it."""
        vectors = (result.features, result.features_stage2)
        for kind, file, vector in zip(self._kinds, self._files, vectors, strict=False):
            if vector is not None:
                file.write(np.array((row, vector), kind).tobytes())

    def close(self) -> None:
        """All of them are on the disk."""
        for file in self._files:
            file.close()

    def append(self) -> None:
        """Append those of the other processes to those of the first."""
        for name, _ in zip(ROWS, self._files, strict=False):
            self._shard.append(self._folder / name)

    def write(self, results: Sequence[Mapping[str, Any]]) -> str:
        """Put them together beside the paths in `results`; return what there is, in a line.

        Arrays: `features` float32[n, d] of the n files that were read (of a detector of m networks
        float32[n, m, d]), `row` int[n] in predictions.csv from 1 on, `path` str[n]; of those that a
        classifier saw `features_stage2`, `row_stage2` and `path_stage2`. None is held in memory.
        """
        arrays, said = {}, []
        for kind, rows, end in zip(self._kinds, ROWS, ("", "_stage2"), strict=False):
            path = self._folder / rows
            count = path.stat().st_size // kind.itemsize
            table = np.memmap(path, kind, "r", shape=count) if count else np.empty(0, kind)
            arrays[f"features{end}"] = table["features"]
            arrays[f"row{end}"] = table["row"]
            paths = [results[row - 1]["path"] for row in table["row"]]
            arrays[f"path{end}"] = np.array(paths, dtype=str)
            shape = " × ".join(map(str, table["features"].shape))
            said.append(f"features{end} {shape}")
        with replacing(self._folder / FEATURES) as unfinished, unfinished.open("wb") as file:
            np.savez(file, **arrays)
        for name, _ in zip(ROWS, self._files, strict=False):
            (self._folder / name).unlink()
        return f"{', '.join(said)} (files × numbers) in {FEATURES}"


@contextmanager
def feature_rows(
    folder: Path, shard: FileShard, bundles: Sequence[Bundle], wanted: bool
) -> Iterator[FeatureRows | None]:
    """Empty files for them, or nothing."""
    rows = FeatureRows(folder, shard, bundles) if wanted else None
    try:
        yield rows
    finally:
        if rows is not None:
            rows.close()


def _shape(bundle: Bundle) -> tuple[int, ...]:
    """Of the features of one image: numbers, behind the number of networks if there are several."""
    numbers = bundle.networks[0]["params"]["head"]["kernel"].shape[0]
    count = len(bundle.networks)
    return (numbers,) if count == 1 else (count, numbers)
