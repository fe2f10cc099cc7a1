"""Data and weights that a run needs and that are not there: what to run, or what to do by hand."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from fracjax.config import Config
from fracjax.datasets.prepared import open_prepared
from fracjax.datasets.request import DRAWN
from fracjax.errors import InputError
from fracjax.pretrained import store


class Preparation(NamedTuple):
    """A command that makes what is missing."""

    name: str
    words: tuple[str, ...]  # after `fracjax`
    by_hand: str  # what to do where it cannot be run; "" where it can


def preparations(
    config: Config, runs: Collection[Path], sources: Sequence[Path]
) -> list[Preparation]:
    """What a config lacks; `runs` are folders that other systems will make for its weights.

    Datasets and Keras files are looked for in the folders `sources`, by their names.
    """
    found = []
    data, weights, model = config.data, config.model.weights, config.model.name
    try:
        open_prepared(data.name, data.dir)
    except InputError as error:
        source = _find(data.name, sources)
        words = ("prepare", data.name, "--data-dir", str(data.dir))
        words += ("--source", str(source)) if source else ()
        possible = source is not None or data.name in DRAWN
        why = f"the dataset {data.name} ({error})"
        found.append(Preparation(f"prepare_{data.name}", words, "" if possible else why))
    if weights is None or weights in runs or weights.is_dir():
        return found
    try:
        store.check(weights, model=model)
    except InputError as error:
        source = _find(model, sources, ".h5", ".hdf5", ".keras")
        why = f"the weights of {model} ({error})"
        words = ("convert", str(source), "--model", model, "--out", str(weights))
        found.append(Preparation(f"convert_{weights.stem}", words, "" if source else why))
    return found


def _find(name: str, sources: Sequence[Path], *suffixes: str) -> Path | None:
    """The first entry of the folders whose name is like a dataset's, or begins as a network's."""

    def key(text: str) -> str:
        return "".join(filter(str.isalnum, text.lower()))

    for path in sorted(path for source in sources for path in source.iterdir()):
        if suffixes:
            like = path.suffix in suffixes and key(path.name).startswith(key(name))
        else:
            like = key(path.name.removesuffix(".zip")) == key(name)
        if like:
            return path
    return None
