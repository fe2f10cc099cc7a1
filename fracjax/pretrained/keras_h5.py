"""Keras weight files → {name: array}. The only importer of h5py.

Two layouts exist. Keras 3 writes `.weights.h5`: `layers/<class>_<n>/vars/0, 1, ...`, where the
group's number says nothing and the layer's own name is an attribute; the optimiser, if the network
was compiled, stands beside `layers`. A `.keras` file is a zip with such a file in it. Keras 1 and 2
wrote `.h5`: `<layer>/<variable>:0`, listed in attributes, under `model_weights` if the whole model
was saved. In both, a network used as a layer holds its own layers.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fracjax.errors import InputError

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


def read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every weight of a Keras file of either layout, by "layer/variable": "conv2d_5/kernel".

    They are by network: "" is that of the file, others are its layers, whose own may be called as
    layers beside them.

    Raises:
      InputError: the file is missing, is no HDF5 file, is cut short, or holds no Keras weights.
    """
    if not path.is_file():
        raise InputError(f"no file {path}; give the .h5, .weights.h5 or .keras file of Keras")
    try:
        with h5py.File(_hdf5(path)) as file:
            if "layers" in file and "layer_names" not in file.attrs:
                arrays = _read_keras_3(file, path)
            else:
                arrays = _read_legacy(file.get("model_weights", file))
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read as a Keras weight file ({error}); if it is a download, "
            "fetch it again and compare its checksum"
        ) from error
    if not arrays:
        raise InputError(
            f"{path} is an HDF5 file without Keras weights; expected one that "
            "model.save_weights() wrote"
        )
    return arrays


def _hdf5(path: Path) -> Path | io.BytesIO:
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        if _IN_ZIP not in archive.namelist():
            raise InputError(
                f"{path} is a zip file without {_IN_ZIP}; expected one that model.save() wrote"
            )
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
