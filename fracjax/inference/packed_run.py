"""A trained run of one network as one file, to be passed on: weights, record, threshold, ranges.

The file is an .npz without pickled objects: reading it runs no code. Kernels are float16, all other
arrays float32. It is unpacked into a workdir, which is then opened as any other.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fracjax.errors import InputError
from fracjax.inference import calibration, training_images
from fracjax.inference.model_bundle import read_metas
from fracjax.models.backbone import leaf_name, leaf_shapes
from fracjax.runtime.atomic_files import read_json, replacing
from fracjax.runtime.user_cache import VARIABLE, user_cache
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.model import abstract, variables_of
from fracjax.training.step import TrainState

# Of the file, to be raised when files packed before cannot be read any more, and of the checkpoint.
VERSIONS = (1, checkpoint.VERSION)
_RECORD = "record"
# What lies beside the checkpoint of a run that was evaluated on validation, by its name there.
_BESIDE = tuple(of(Path()).name for of in (calibration.path, training_images.path))

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


def write(path: Path, workdir: Path, mesh: Mesh, figures: dict[str, Any]) -> None:
    """Pack a run whose network is one of `half`, with its threshold, whole or not at all.

    `figures` of its evaluation on validation go with it, for whoever reads the file.
    """
    (meta,) = read_metas(workdir)
    network = checkpoint.restore_network(workdir, variables_of(abstract(meta.config).model), mesh)
    arrays = {leaf_name(at): np.asarray(it) for at, it in jax.tree.leaves_with_path(network)}
    hint = f"run `{calibration.evaluate_command(workdir)}` first"
    beside = {name: read_json(workdir / name, hint) for name in _BESIDE}
    record = {"version": VERSIONS[0], "meta": meta.to_dict(), "figures": figures, **beside}
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        kept = {k: v.astype(np.float16) if v.ndim > 1 else v for k, v in arrays.items()}
        kept[_RECORD] = np.array(json.dumps(record, allow_nan=False))
        np.savez_compressed(file, **kept)  # pyright: ignore[reportArgumentType]


def unpacked(path: Path) -> Path:
    """The workdir of a run: of a packed file one in the user's cache, of a folder the folder.

    Raises:
      InputError: a file that is damaged or no packed run, or nowhere to unpack it.
    """
    if not path.is_file():  # a workdir, or what is refused where it is opened
        return path
    again = "pack the run again with `fracjax pack`"
    if path == BUILT_IN:
        again = "install fracjax again"
    data = path.read_bytes()
    try:
        folder = user_cache() / "runs" / hashlib.sha256(data).hexdigest()[:16] / path.stem
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            return folder
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        raise InputError(
            f"{path} is unpacked into the user's cache, which cannot be written ({error}); set "
            f"{VARIABLE} to a folder that can"
        ) from error
    try:
        _unpack(path, unfinished, again)
        try:
            os.rename(unfinished, folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
        return folder
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unpack(path: Path, folder: Path, again: str) -> None:
    """Write a packed file as a run into a folder."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            record = json.loads(str(file[_RECORD]))
            arrays = {name: file[name] for name in file.files if name != _RECORD}
        if (found := (record["version"], record["meta"]["version"])) != VERSIONS:
            raise InputError(f"of versions {found}, these are {VERSIONS}; {again}")
        meta = CheckpointMetadata.from_dict(record["meta"])
        beside = {name: json.dumps(record[name]) for name in _BESIDE}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
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
    state = TrainState(np.zeros((), np.int32), network["params"], network["batch_stats"], None)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_best(state, meta)
    for name, text in beside.items():
        (folder / name).write_text(text)
