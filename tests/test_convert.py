import os
import runpy
import subprocess
import sys
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_array_equal

from fracjax.config import Model
from fracjax.convert import backbone_shapes, convert
from fracjax.errors import UserError
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.weights import store
from fracjax.weights.inception_v3 import NAMES

ROOT = Path(__file__).parents[1]
GOLDENS = ROOT / "tests" / "goldens"
REAL = Path(os.environ.get("FRACJAX_WEIGHTS", "")) / (
    "inception_v3_imagenet_partial_notop.weights.h5"
)
recipe = runpy.run_path(str(GOLDENS / "recipe.py"))


@pytest.fixture(scope="module")
def shapes():
    return backbone_shapes("inception_v3")


def write_legacy(path: Path, shapes, *, shift: int, top: bool = False) -> None:
    """All of InceptionV3 as zeros, layers numbered from `shift`; a bias tells them apart."""
    with h5py.File(path, "w") as file:
        layers: dict[str, list[str]] = {}
        for leaf, shape in shapes.items():
            keras_layer, variable = NAMES[leaf].split("/")
            kind, number = keras_layer.rsplit("_", 1)
            layer = f"{kind}_{int(number) + shift}"
            layers.setdefault(layer, []).append(f"{layer}/{variable}:0")
            value = float(number) if variable != "kernel" else 0.0
            file.create_dataset(f"{layer}/{layer}/{variable}:0", shape, "f4", fillvalue=value)
        if top:
            layers["predictions"] = ["predictions/kernel:0"]
            file["predictions/predictions/kernel:0"] = np.zeros((2048, 10), np.float32)
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, names in layers.items():
            file[layer].attrs["weight_names"] = [name.encode() for name in names]


def test_a_file_of_the_second_network_of_a_session_converts_without_its_top(tmp_path, shapes):
    write_legacy(tmp_path / "net.h5", shapes, shift=95, top=True)
    provenance = convert(tmp_path / "net.h5", model="inception_v3", out=tmp_path / "net.npz")
    arrays, stored = store.load(tmp_path / "net.npz", model="inception_v3")
    assert stored == provenance
    assert stored.left_out == ("predictions/kernel",)
    assert {path: array.shape for path, array in arrays.items()} == shapes
    assert_array_equal(arrays["backbone/stem/conv1/norm/mean"], np.zeros(32))
    assert_array_equal(arrays["backbone/mixed0/b1x1/norm/bias"], np.full(64, 5))
    assert_array_equal(arrays["backbone/mixed10/pool/norm/var"], np.full(192, 93))


def test_wrong_shapes_and_missing_layers_are_all_listed_and_nothing_is_written(tmp_path, shapes):
    wrong = dict(shapes)
    wrong["backbone/stem/conv2/conv/kernel"] = (3, 3, 32, 31)
    wrong["backbone/mixed9/b1x1/conv/kernel"] = (1, 1, 1280, 32)
    del wrong["backbone/mixed10/pool/norm/var"]
    write_legacy(tmp_path / "net.h5", wrong, shift=0)
    with pytest.raises(UserError) as error:
        convert(tmp_path / "net.h5", model="inception_v3", out=tmp_path / "net.npz")
    lines = str(error.value).splitlines()
    assert lines[0].endswith("net.h5: 3 problems with its weights:")
    assert sorted(lines[1:4]) == [
        "! backbone/mixed9/b1x1/conv/kernel: shape (1, 1, 1280, 320) in the model, "
        "(1, 1, 1280, 32) in conv2d_76/kernel",
        "! backbone/stem/conv2/conv/kernel: shape (3, 3, 32, 32) in the model, "
        "(3, 3, 32, 31) in conv2d_1/kernel",
        "- not in the source: backbone/mixed10/pool/norm/var "
        "(looked for batch_normalization_93/moving_variance)",
    ]
    assert lines[4] == (
        "Give the Keras file of inception_v3, or name the network that the file is of with --model."
    )
    assert not (tmp_path / "net.npz").exists()


def test_a_network_without_keras_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="no conversion for 'basic_cnn'; there is one for incep"):
        convert(tmp_path / "net.h5", model="basic_cnn", out=tmp_path / "net.npz")


def test_the_script_answers_a_bad_file_with_one_line(tmp_path):
    (tmp_path / "net.h5").write_text("<html>404</html>")
    script = ROOT / "scripts" / "convert_weights.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path / "net.h5", "--out", tmp_path / "net.npz"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot be read as a Keras weight file" in done.stderr


@pytest.mark.skipif(not REAL.is_file(), reason="FRACJAX_WEIGHTS does not name the real weights")
def test_the_real_weights_give_the_features_that_keras_gets(tmp_path):
    provenance = convert(REAL, model="inception_v3", out=tmp_path / "net.npz")
    assert provenance.sha256.startswith("31e54e89648a5a23")

    def network() -> Classifier:
        model = Model(name="inception_v3")
        return build(model, outputs=1, image_size=139, rngs=nnx.Rngs(0))

    graph, params, stats = nnx.split(nnx.eval_shape(network), nnx.Param, nnx.BatchStat)
    params, stats = store.load_into(
        nnx.to_pure_dict(params),
        nnx.to_pure_dict(stats),
        tmp_path / "net.npz",
        model="inception_v3",
    )
    # The head is still abstract, and is not run.
    params["head"] = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params["head"])

    def features(params, stats, x):
        return nnx.merge(graph, params, stats).backbone(x).mean(axis=(1, 2))

    x = recipe["picture"]("picture", (1, 139, 139, 3))
    ours = np.asarray(jax.jit(features)(params, stats, x))
    with np.load(GOLDENS / "keras_inception_v3_real.npz") as golden:
        theirs = golden["139x139"]
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
