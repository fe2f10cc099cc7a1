"""Keras weight files → {name: array}. The only importer of h5py.

Two layouts exist. Keras 3 writes `.weights.h5`: `layers/<class>_<n>/vars/0, 1, ...`, where the
group's number says nothing and the layer's own name is an attribute; the optimiser, if the network
was compiled, stands beside `layers`. A `.keras` file is a zip with such a file in it. Keras 1 and 2
wrote `.h5`: `<layer>/<variable>:0`, listed in attributes, under `model_weights` if the whole model
was saved. In both, a network used as a layer holds its own layers.
"""

import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fracjax.errors import DAMAGE, InputError
from fracjax.runtime.own_process import in_own_process, limit_own_process

BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
# What `vars/0, 1, ...` are, by the layer's class and the number of its variables.
_VARIABLES = {
    **{(kind, 1): ("kernel",) for kind in ("conv2d", "depthwise_conv2d", "dense")},
    **{(kind, 2): ("kernel", "bias") for kind in ("conv2d", "depthwise_conv2d", "dense")},
    ("batch_normalization", 3): BATCH_NORM[1:],
    ("batch_normalization", 4): BATCH_NORM,
    ("normalization", 3): ("mean", "variance", "count"),
}
_IN_ZIP = "model.weights.h5"
MAX_BYTES = 4 * 2**30  # of all arrays together; the largest network here has a fortieth of it
_ALONE = "expected one that has all in itself, as Keras writes it"


def read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every weight of a Keras file of either layout, by "layer/variable": "conv2d_5/kernel".

    They are by network: "" is that of the file, others are its layers, whose own may be called as
    layers beside them. A damaged file makes HDF5 hang or crash: it is read in a process of its own.

    Raises:
      InputError: the file is missing, is no HDF5 file, is damaged, leads to other files, claims
        more than `MAX_BYTES`, or holds no Keras weights.
    """
    if not path.is_file():
        raise InputError(f"no file {path}; give the .h5, .weights.h5 or .keras file of Keras")
    try:
        written = io.BytesIO(in_own_process(Path(__file__), path.absolute(), _seconds(path)))
    except InputError as error:
        raise InputError(_damaged(path, error)) from error
    header = json.loads(written.readline())
    if problem := header.get("problem"):
        raise InputError(problem.replace(str(path.absolute()), str(path)))
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for network, name, dtype, shape in header["arrays"]:
        count = math.prod(shape)
        values = np.frombuffer(written.read(count * np.dtype(dtype).itemsize), dtype, count)
        arrays.setdefault(network, {})[name] = values.reshape(shape).copy()
    return arrays


def _seconds(path: Path) -> float:
    """Processor time that is far more than a sound file takes: one that hangs ends within 10 s."""
    return 3 + path.stat().st_size / 50e6


def _damaged(path: Path, why: object) -> str:
    return (
        f"{path} cannot be read as a Keras weight file ({why}); if it is a download, "
        "fetch it again and compare its checksum"
    )


def _send(path: Path) -> None:
    """Write to the standard output what `read` reads: a line of JSON, then the arrays' bytes."""
    arrays: dict[str, dict[str, np.ndarray]] = {}
    try:
        arrays = _read_here(path)
        header: dict[str, Any] = {"arrays": [
            (network, name, array.dtype.str, array.shape)
            for network, named in arrays.items() for name, array in named.items()
        ]}  # fmt: skip
    except InputError as error:
        header = {"problem": str(error)}
    out = sys.stdout.buffer
    out.write(json.dumps(header).encode() + b"\n")
    for named in arrays.values():
        for array in named.values():
            out.write(np.ascontiguousarray(array).tobytes())


def _read_here(path: Path) -> dict[str, dict[str, np.ndarray]]:
    try:
        with h5py.File(_hdf5(path)) as file:
            _check(file, path)
            if "layers" in file and "layer_names" not in file.attrs:
                arrays = _read_keras_3(file, path)
            else:
                arrays = _read_legacy(file.get("model_weights", file))
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(_damaged(path, error or type(error).__name__)) from error
    if not arrays:
        raise InputError(
            f"{path} is an HDF5 file without Keras weights; expected one that "
            "model.save_weights() wrote"
        )
    return arrays


def _check(file: h5py.File, path: Path) -> None:
    """Refuse what leads out of the file, and what would fill the memory; arrays of numbers stay."""
    size = 0

    def problem(name: str, link: Any) -> str | None:  # which ends the walk
        nonlocal size
        if isinstance(link, h5py.ExternalLink):
            return f"{path} leads to another file ({link.filename}, at {name}); {_ALONE}"
        found = file.get(name)
        if not isinstance(found, h5py.Dataset):
            return None
        if found.external or found.is_virtual:
            return f"{path} keeps {name} in other files; {_ALONE}"
        size += found.size * found.dtype.itemsize if found.size else 0
        if size > MAX_BYTES:
            return _damaged(path, f"it claims more than the {MAX_BYTES:,} bytes allowed")
        return None

    if found := file.visititems_links(problem):
        raise InputError(found)


def _hdf5(path: Path) -> Path | io.BytesIO:
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        if _IN_ZIP not in archive.namelist():
            raise InputError(
                f"{path} is a zip file without {_IN_ZIP}; expected one that model.save() wrote"
            )
        if (claimed := archive.getinfo(_IN_ZIP).file_size) > MAX_BYTES:
            why = f"{_IN_ZIP} claims {claimed:,} bytes, more than the {MAX_BYTES:,} allowed"
            raise InputError(_damaged(path, why))
        return io.BytesIO(archive.read(_IN_ZIP))


def _read_keras_3(file: h5py.File, source: Path) -> dict[str, dict[str, np.ndarray]]:
    arrays: dict[str, dict[str, np.ndarray]] = {}
    nameless: list[str] = []

    def visit(path: str, group: h5py.Group | h5py.Dataset) -> None:
        is_layer = path.endswith("/vars") and not path.startswith("optimizer/")
        if not is_layer or not isinstance(group, h5py.Group) or not len(group):
            return
        container = path.split("/")[-2]
        if "name" not in group.attrs:
            nameless.append(container)
            return
        kind = re.sub(r"_\d+$", "", container)
        names = _VARIABLES.get((kind, len(group)), tuple(sorted(group, key=int)))
        # "layers/functional/layers/conv2d/vars" is of the network "layers/functional".
        network = arrays.setdefault(path.rpartition("layers/")[0].rstrip("/"), {})
        for index, name in enumerate(names):
            network[f"{group.attrs['name']}/{name}"] = np.asarray(group[str(index)])

    file.visititems(visit)
    if nameless:
        raise InputError(
            f"{source} does not record the names of its layers ({len(nameless)} without, "
            f"such as {nameless[0]}), so they cannot be told apart; load it into its network with "
            "a newer Keras 3 and save the weights again"
        )
    return arrays


def _read_legacy(group: Any) -> dict[str, dict[str, np.ndarray]]:
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for layer in map(_text, group.attrs.get("layer_names", ())):
        names = [_text(name) for name in group[layer].attrs["weight_names"]]
        # The path may repeat the layer or a scope: "conv2d_1/kernel:0", "conv2d_1_1/kernel:0". Only
        # where it has several, the layer is a network, and they are its own layers.
        scopes = {name.rpartition("/")[0] for name in names}
        network = arrays.setdefault(layer if len(scopes) > 1 else "", {}) if names else {}
        for name in names:
            scope, _, variable = name.partition(":")[0].rpartition("/")
            inside = scope.rpartition("/")[2] if len(scopes) > 1 else layer
            variable = "kernel" if variable == "depthwise_kernel" else variable
            network[f"{inside}/{variable}"] = np.asarray(group[layer][name])
    return arrays


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def by_build_order(arrays: dict[str, np.ndarray], kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """Renumber the anonymous layers of some classes from 0: "conv2d_95/kernel" → "conv2d_1/kernel".

    Keras numbers layers without a name as it builds them and goes on counting from one network to
    the next, and old versions began at 1: only the rank within a class means anything.
    """
    by_layer = {name: name.rpartition("/") for name in arrays}
    layers = {layer for layer, _, _ in by_layer.values()}
    renamed = {}
    for kind in kinds:
        found = {layer: re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", layer) for layer in layers}
        number = {layer: int(match[1] or 0) for layer, match in found.items() if match}
        for rank, layer in enumerate(sorted(number, key=number.__getitem__)):
            renamed[layer] = f"{kind}_{rank}"
    return {
        f"{renamed.get(layer, layer)}/{variable}": arrays[name]
        for name, (layer, _, variable) in by_layer.items()
    }


if __name__ == "__main__":
    limit_own_process()
    _send(Path(sys.argv[1]))
