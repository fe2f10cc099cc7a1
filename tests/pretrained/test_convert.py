import functools
import os
import re
import runpy
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_array_equal

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.pretrained import convert as conversion
from fracjax.pretrained import store
from fracjax.pretrained.convert import convert, network_of
from fracjax.pretrained.names import TABLES
from tests.cli_runner import run_cli
from tests.paths import GOLDENS

REAL = Path(os.environ.get("FRACJAX_WEIGHTS", "")) / (
    "inception_v3_imagenet_partial_notop.weights.h5"
)
recipe = runpy.run_path(str(GOLDENS / "recipe.py"))


backbone_shapes = functools.cache(conversion.backbone_shapes)  # tracing takes the time here


@pytest.fixture(autouse=True)
def shapes_are_found_once(monkeypatch):
    monkeypatch.setattr(conversion, "backbone_shapes", backbone_shapes)


@pytest.fixture
def shapes():
    return backbone_shapes("inception_v3")


def is_depthwise(name: str) -> bool:
    return name.endswith(("dwconv/kernel", "depthwise/kernel"))


def write_keras_2(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A file of Keras 2, which called depthwise kernels otherwise."""
    with h5py.File(path, "w") as file:
        layers: dict[str, list[str]] = {}
        for name, array in arrays.items():
            layer, variable = name.split("/")
            if is_depthwise(name):
                variable = "depthwise_kernel"
            layers.setdefault(layer, []).append(f"{layer}/{variable}:0")
            file[f"{layer}/{layer}/{variable}:0"] = array
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, names in layers.items():
            file[layer].attrs["weight_names"] = [name.encode() for name in names]


def keras_arrays(model: str) -> dict[str, np.ndarray]:
    """All of a network's arrays by Keras's names and in its layout, each of one value of its own.

    A depthwise kernel counts up instead, so that a turned one is noticed.
    """
    table, arrays = TABLES[model], {}
    for number, (leaf, shape) in enumerate(backbone_shapes(model).items()):
        name = table.names[leaf]
        arrays[name] = np.broadcast_to(np.float32(number), shape)
        if is_depthwise(name):
            arrays[name] = np.arange(np.prod(shape), dtype="f4").reshape(*shape[:2], -1, 1)
    arrays |= {name: np.asarray(values[0], np.float32) for name, values in table.constants.items()}
    return arrays | {name: np.zeros(3, np.float32) for name in table.left_out}


def renumbered(arrays: dict[str, np.ndarray], shift: int) -> dict[str, np.ndarray]:
    """Layers "conv2d_5" as "conv2d_100", as in the second network of a session."""
    number = lambda match: f"_{int(match[1]) + shift}/"  # noqa: E731
    return {re.sub(r"_(\d+)/", number, name): array for name, array in arrays.items()}


@pytest.mark.parametrize("model", list(TABLES))
def test_a_file_with_its_top_converts_to_every_leaf(tmp_path, model):
    arrays = keras_arrays(model)
    write_keras_2(
        tmp_path / "net.h5", renumbered(arrays, 95) if model == "inception_v3" else arrays
    )
    assert network_of(tmp_path / "net.h5") == model
    provenance = convert(tmp_path / "net.h5", model=model, out=tmp_path / "net.npz")
    leaves, stored = store.load(tmp_path / "net.npz", model=model)
    table = TABLES[model]
    assert stored == provenance
    assert stored.left_out == (*table.left_out, *table.constants)
    assert {path: array.shape for path, array in leaves.items()} == backbone_shapes(model)
    for leaf, array in leaves.items():
        name = table.names[leaf]
        theirs = arrays[name].swapaxes(2, 3) if is_depthwise(name) else arrays[name]
        assert_array_equal(array, theirs)


def test_names_of_the_published_mobilenet_convert(tmp_path):
    now = keras_arrays("mobilenet_v2")
    before = {here: there for there, here in TABLES["mobilenet_v2"].renamed.items()}
    then = {}
    for name, array in now.items():
        layer, variable = name.split("/")
        then[f"{before.get(layer, layer)}/{variable}"] = array
    examples = ("mobl3_conv_3_depthwise/kernel", "bn16_conv_16_bn_project/gamma", "Logits/bias")
    assert then.keys() >= set(examples)
    paths = tmp_path / "now.h5", tmp_path / "then.h5"
    for path, arrays in zip(paths, (now, then), strict=True):
        write_keras_2(path, arrays)
        convert(path, model=network_of(path), out=path.with_suffix(".npz"))
    first, second = (store.load(p.with_suffix(".npz"), model="mobilenet_v2")[0] for p in paths)
    jax.tree.map(assert_array_equal, first, second)


def test_a_network_that_normalises_its_pictures_otherwise_is_refused(tmp_path):
    arrays = keras_arrays("efficientnet_b0")
    arrays["normalization_0/mean"] = np.zeros(3, np.float32)
    arrays["normalization_0/variance"] = np.ones(3, np.float32)  # Keras's, without "imagenet"
    write_keras_2(tmp_path / "net.h5", arrays)
    with pytest.raises(InputError) as error:
        convert(tmp_path / "net.h5", model="efficientnet_b0", out=tmp_path / "net.npz")
    assert str(error.value).splitlines()[1:3] == [
        "! normalization_0/mean: (0.0, 0.0, 0.0) in the source, (0.485, 0.456, 0.406) built into "
        "the model",
        "! normalization_0/variance: (1.0, 1.0, 1.0) in the source, (0.229, 0.224, 0.225) or "
        "(0.052441, 0.050176, 0.050625) built into the model",
    ]


def test_a_file_of_no_known_network_is_refused_with_what_was_looked_for(tmp_path):
    arrays = {f"conv2d_{i}/kernel": np.zeros((3, 3, 8, 8), np.float32) for i in range(7)}
    write_keras_2(tmp_path / "net.h5", arrays)
    with pytest.raises(InputError) as error:
        network_of(tmp_path / "net.h5")
    message = str(error.value)
    assert "of its 7 arrays, looked for 7 of the 376 of inception_v3 (such as conv2d_0/" in message
    assert "; 0 of the 309 of efficientnet_b0 (such as stem_conv/kernel); 0 of" in message
    assert "--model" in message


HEAD = {
    **{f"batch_normalization_1/{v}": (32,) for v in ("gamma", "beta", "moving_mean")},
    "batch_normalization_1/moving_variance": (32,),
    **{"dense/kernel": (2048, 64), "dense/bias": (64,), "mine/kernel": (64, 2), "mine/bias": (2,)},
}
"""A norm and dense layers; the norm has the name and the size of one of InceptionV3's."""


def write_nested(path: Path, inside: dict[str, np.ndarray], beside: dict[str, np.ndarray]) -> None:
    """As Keras 2 saves `Sequential([base, pooling, Dense, ...])`: the base is one layer."""
    write_keras_2(path, beside)
    with h5py.File(path, "r+") as file:
        for name, array in inside.items():
            file[f"base/{name}:0"] = array
        file["base"].attrs["weight_names"] = [f"{name}:0".encode() for name in inside]
        layers = list(dict.fromkeys(name.split("/")[0] for name in beside))
        file.attrs["layer_names"] = [name.encode() for name in ("base", *layers)]


def with_own_head(path: Path, *, nested: bool) -> dict[str, np.ndarray]:
    """An InceptionV3 of its own arrays in a file with `HEAD`; nested, two norms have one name."""
    base = keras_arrays("inception_v3")
    base = {n: a for n, a in base.items() if not n.startswith("predictions/")}
    # The first of a class has no number; of a flat network numbers go on where the base ended.
    base = {re.sub("(conv2d|normalization)_0/", r"\1/", n): a for n, a in base.items()}
    head = {name: np.full(shape, -1, np.float32) for name, shape in HEAD.items()}
    if nested:
        write_nested(path, base, head)
    else:
        head = {n.replace("normalization_1/", "normalization_94/"): a for n, a in head.items()}
        write_keras_2(path, base | head)
    return base


@pytest.mark.parametrize("nested", [False, True])
def test_a_head_of_ones_own_is_left_out_by_name_if_one_says_so(tmp_path, nested):
    with_own_head(tmp_path / "net.h5", nested=nested)
    write_keras_2(tmp_path / "base.h5", keras_arrays("inception_v3"))
    convert(tmp_path / "base.h5", model="inception_v3", out=tmp_path / "base.npz")
    done = run_cli("convert", tmp_path / "net.h5", "--out", tmp_path / "net.npz")
    norm = "outside: batch_normalization_1" if nested else "batch_normalization_94"
    assert done.returncode == 2
    assert f"If {norm}, dense, mine are your own head" in done.stderr
    assert not (tmp_path / "net.npz").exists()
    command = ("convert", tmp_path / "net.h5", "--out", tmp_path / "net.npz", "--leave-out-head")
    done = run_cli(*command)
    assert done.returncode == 0, done.stderr
    assert "mine/kernel, mine/bias" in done.stdout
    ours, base = (store.load(tmp_path / f"{n}.npz", model="inception_v3") for n in ("net", "base"))
    jax.tree.map(assert_array_equal, ours[0], base[0])
    head = {name.rpartition("/")[0] for name in ours[1].left_out}
    assert head == {norm, "dense", "mine"}


@pytest.mark.parametrize(
    ("extra", "shape"),
    [
        ("stem/kernel", (1, 1, 1, 3)),  # makes three channels of one
        ("stem/gamma", (3,)),  # a norm of the images
        ("stem/mean", (5,)),
        ("stem/bias", (5,)),  # a dense layer cut in two
    ],
)
def test_what_may_stand_before_the_backbone_is_never_left_out(tmp_path, extra, shape):
    base = keras_arrays("inception_v3")
    beside = {"dense/kernel": np.zeros((2048, 2), "f4"), extra: np.zeros(shape, "f4")}
    write_nested(tmp_path / "net.h5", base, beside)
    with pytest.raises(InputError) as error:
        convert(
            tmp_path / "net.h5", model="inception_v3", out=tmp_path / "o.npz", leave_out_head=True
        )
    lines = str(error.value).splitlines()
    assert lines[0].endswith("1 problems with its weights:")
    assert lines[1] == f"+ not in the model: {extra} {shape}"
    assert "--leave-out-head leaves out dense layers and norms behind the backbone" in lines[2]


def test_a_backbone_that_lacks_a_layer_is_refused_with_its_head_left_out(tmp_path):
    base = keras_arrays("mobilenet_v2")
    del base["Conv_1/kernel"]
    write_nested(tmp_path / "net.h5", base, {"mine/kernel": np.zeros((1280, 2), "f4")})
    with pytest.raises(InputError, match=r"not in the source: backbone/Conv_1/conv/kernel"):
        convert(
            tmp_path / "net.h5", model="mobilenet_v2", out=tmp_path / "o.npz", leave_out_head=True
        )


def test_wrong_shapes_and_missing_layers_are_all_listed_and_nothing_is_written(tmp_path, shapes):
    wrong = dict(shapes)
    wrong["backbone/stem/conv2/conv/kernel"] = (3, 3, 32, 31)
    wrong["backbone/mixed9/b1x1/conv/kernel"] = (1, 1, 1280, 32)
    del wrong["backbone/mixed10/pool/norm/var"]
    arrays = {
        TABLES["inception_v3"].names[leaf]: np.zeros(shape, np.float32)
        for leaf, shape in wrong.items()
    }
    write_keras_2(tmp_path / "net.h5", arrays)
    with pytest.raises(InputError) as error:
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
        "Give the Keras file of inception_v3, or name the network of the file with --model."
    )
    assert not (tmp_path / "net.npz").exists()


def test_a_network_without_keras_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match="no conversion for 'basic_cnn'; there is one for effic"):
        convert(tmp_path / "net.h5", model="basic_cnn", out=tmp_path / "net.npz")


def test_the_command_tells_the_network_and_whether_keras_published_the_file(tmp_path):
    write_keras_2(tmp_path / "net.h5", keras_arrays("efficientnet_b0"))
    done = run_cli("convert", tmp_path / "net.h5", "--out", tmp_path / "net.npz")
    assert done.returncode == 0, done.stderr
    assert f"read  {tmp_path / 'net.h5'}: efficientnet_b0  (sha256 " in done.stdout
    assert "not a file that Keras publishes: its md5 is " in done.stdout
    assert store.check(tmp_path / "net.npz", model="efficientnet_b0").published in done.stdout


def test_the_command_answers_a_bad_file_with_one_line(tmp_path):
    (tmp_path / "net.h5").write_text("<html>404</html>")
    done = run_cli("convert", tmp_path / "net.h5", "--out", tmp_path / "net.npz")
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
