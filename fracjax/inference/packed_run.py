"""A trained run of one network as one file, to be passed on: weights, record, threshold, ranges.

The file is an .npz without pickled objects: reading it runs no code. Kernels are float16, all other
arrays float32. It is unpacked into a workdir, which is then opened as any other.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fracjax import __version__
from fracjax.config.bounds import BACKBONES
from fracjax.errors import DAMAGE, InputError
from fracjax.models.backbone import leaf_name, leaf_shapes
from fracjax.runtime.atomic_files import read_json, replacing
from fracjax.runtime.multihost import run_on_main
from fracjax.runtime.npz_file import read_npz
from fracjax.runtime.user_cache import VARIABLE, user_cache
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.checkpoint_digests import DIGESTS, check_digests
from fracjax.training.model import abstract, variables_of
from fracjax.training.step import TrainState

# Of the file, to be raised when files packed before cannot be read any more, and of the checkpoint.
VERSIONS = (1, checkpoint.VERSION)
_RECORD = "record"
_FILES = "unpacked.json"  # in an unpacked run: the names of its files, written last
BUILT_IN = Path(str(files("fracjax.pretrained") / "detector.npz"))
"""The detector that comes with fracjax; its card is beside it, detector.md."""


def half(network: dict[str, Any]) -> dict[str, Any]:
    """A network as `write` keeps it: kernels rounded to float16, in float32 again.

    Raises:
      InputError: a kernel with values beyond float16's.
    """

    def rounded(at: Any, leaf: Any) -> np.ndarray:
        array = np.asarray(leaf, np.float32)
        if array.ndim < 2:
            return array
        with np.errstate(over="ignore"):
            kept = array.astype(np.float16).astype(np.float32)
        if not np.isfinite(kept).all():
            found = f"{np.abs(array).max():.3g}"
            raise InputError(
                f"{leaf_name(at)} holds values up to {found}, and float16 ends at 65,504: this "
                "network cannot be packed"
            )
        return kept

    return jax.tree.map_with_path(rounded, network)


def save_best(workdir: Path, network: dict[str, Any], meta: CheckpointMetadata) -> None:
    """A network as the best one of a run, in a workdir of its own; by the first process alone."""
    step = np.zeros((), np.int32)
    state = TrainState(step, network["params"], network["batch_stats"], None)
    with Checkpoints(workdir, by_main=True) as checkpoints:
        checkpoints.save_best(state, meta)


def write(
    path: Path,
    meta: CheckpointMetadata,
    network: dict[str, Any],
    beside: Sequence[Path],
    figures: dict[str, Any],
) -> None:
    """Pack a network, as `half` gives it, whole or not at all.

    The JSON files `beside` its checkpoint go with it, such as that of its threshold, and `figures`
    of its evaluation on validation, for whoever reads the file.
    """
    arrays = {leaf_name(at): np.asarray(it) for at, it in jax.tree.leaves_with_path(network)}
    files_beside = {
        file.name: read_json(file, "evaluate it on validation again") for file in beside
    }
    record = {"version": VERSIONS[0], "meta": meta.to_dict(), "figures": figures}
    record["beside"] = files_beside
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        kept = {k: v.astype(np.float16) if v.ndim > 1 else v for k, v in arrays.items()}
        kept[_RECORD] = np.array(json.dumps(record, allow_nan=False))
        np.savez_compressed(file, **kept)  # pyright: ignore[reportArgumentType]


def unpacked(path: Path) -> Path:
    """The workdir of a run: of a packed file one in the user's cache, of a folder the folder.

    The first process unpacks, the others wait.

    Raises:
      InputError: a file that is damaged or no packed run, or nowhere to unpack it.
    """
    if not path.is_file():  # a workdir, or what is refused where it is opened
        return path
    data = path.read_bytes()
    try:
        folder = user_cache() / "runs" / _digest(data) / path.stem
        run_on_main(lambda: None if _is_whole(folder) else _unpack_to(folder, path), "unpacked")
        there = _is_whole(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        raise InputError(
            f"{path} is unpacked into the user's cache, which cannot be written ({error}); set "
            f"{VARIABLE} to a folder that can"
        ) from error
    if not there:
        raise InputError(
            f"process 0 unpacked {path}, and this one does not see {folder}: set {VARIABLE} to a "
            "folder that all hosts share"
        )
    return folder


def _unpack_to(folder: Path, path: Path) -> None:
    """Have a packed file's run in a folder, whole."""
    again = "pack the run again with `fracjax pack`"
    if path == BUILT_IN:
        again = "install fracjax again"
    shutil.rmtree(folder, ignore_errors=True)  # what a cleaning of the cache left of it
    unfinished = folder.with_name(f"unfinished-{uuid.uuid4().hex}")
    unfinished.mkdir(parents=True)
    try:
        _unpack(path, unfinished, again)
        inside = (it for it in unfinished.rglob("*") if it.is_file())
        names = [str(it.relative_to(unfinished)) for it in inside]
        (unfinished / _FILES).write_text(json.dumps(names))
        try:
            os.rename(unfinished, folder)
        except OSError:  # another process was faster
            if not _is_whole(folder):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def origin(workdir: Path) -> dict[str, str | None] | None:
    """Of a packed run its file's SHA-256 (16 digits), and whose it is if it comes with fracjax."""
    if not (workdir / _FILES).is_file():
        return None
    own = workdir.parent.name == _digest(BUILT_IN.read_bytes())
    return {"sha256": workdir.parent.name, "built_in": f"fracjax {__version__}" if own else None}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """Whether what was unpacked is all there, and as it was: caches are cleaned file by file."""
    try:
        names = json.loads((folder / _FILES).read_text())
        best = checkpoint.newest(folder, "best") or folder
        if not all(it.is_file() for it in (best / DIGESTS, *(folder / name for name in names))):
            return False
        check_digests(best, "")
    except DAMAGE:  # also an InputError
        return False
    return True


def _unpack(path: Path, folder: Path, again: str) -> None:
    """Write a packed file as a run into a folder."""
    try:
        arrays = read_npz(path)
        record = json.loads(str(arrays.pop(_RECORD)))
        if (found := (record["version"], record["meta"]["version"])) != VERSIONS:
            raise InputError(f"of versions {found}, these are {VERSIONS}; {again}")
        meta = CheckpointMetadata.from_dict(record["meta"])
        if (name := meta.config.model.name) not in BACKBONES:  # another is imported: it is code
            raise InputError(f"its network is {name}, none of fracjax's own")
        beside = {name: json.dumps(it) for name, it in record["beside"].items()}
        if any(Path(name).name != name or not name.endswith(".json") for name in beside):
            raise ValueError(f"it holds files named {', '.join(beside)}")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except DAMAGE as error:
        raise InputError(
            f"{path} is damaged, or no packed run ({type(error).__name__}: {error}); {again}"
        ) from error
    like = variables_of(abstract(meta.config).model)
    shapes = leaf_shapes(like)
    found = leaf_shapes(arrays)
    if found != shapes or not all(np.isfinite(array).all() for array in arrays.values()):
        wrong = sorted(k for k in {*shapes, *found} if shapes.get(k) != found.get(k))
        what = f"{len(wrong)} arrays of other shapes, such as {wrong[0]}" if wrong else "not finite"
        raise InputError(f"{path} does not hold the network of its config ({what}); {again}")
    network = jax.tree.map_with_path(lambda at, _: arrays[leaf_name(at)].astype(np.float32), like)
    save_best(folder, network, meta)
    for name, text in beside.items():
        (folder / name).write_text(text)
