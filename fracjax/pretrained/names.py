"""Our names of ImageNet weights ← Keras's, and the files in which Keras publishes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fracjax.models.efficientnet_b0 import DEVIATION, MEAN, EfficientNetB0
from fracjax.models.inception_v3 import BRANCHES
from fracjax.models.mobilenet_v2 import BOTTLENECKS, MobileNetV2

_GOOGLE = "https://storage.googleapis.com/"
_TF = "_weights_tf_dim_ordering_tf_kernels"
_IMAGENET_HEAD = ("predictions/kernel", "predictions/bias")  # in files with the top


@dataclass(frozen=True)
class NameTable:
    """What Keras calls the arrays of a network."""

    names: dict[str, str]  # Keras's name of every leaf of ours
    # URL of each file, without the top, then with it -> md5 in Keras's source, if it has one
    published: dict[str, str | None] = field(default_factory=dict)
    # classes whose layers Keras numbers; here from 0, as by `keras_h5.by_build_order`
    anonymous: tuple[str, ...] = ()
    # layers that older files, the published ones too, name otherwise: there, and here
    renamed: dict[str, str] = field(default_factory=dict)
    swapped: tuple[str, ...] = ()  # arrays whose last two axes are the other way round here
    left_out: tuple[str, ...] = _IMAGENET_HEAD  # arrays that our network has no use for
    # arrays that are built into our network, with the values that they may have
    constants: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)


_NORM = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}


def _inception_v3() -> NameTable:
    # `keras.applications.inception_v3` gives its layers no names, so that they count conv2d,
    # conv2d_1, ... in the order in which they are built.
    built = [(block, unit) for block, of in BRANCHES.items() for unit in " ".join(of).split()]
    units = [f"{block}/{unit}" for block, unit in built if unit != "-"]
    conv, norm = "conv2d", "batch_normalization"
    leaves = [("conv", "kernel", conv, "kernel")]
    leaves += [("norm", ours, norm, theirs) for ours, theirs in _NORM.items() if ours != "scale"]
    file = _GOOGLE + "tensorflow/keras-applications/inception_v3/inception_v3" + _TF
    return NameTable(
        names={
            f"backbone/{unit}/{layer}/{ours}": f"{kind}_{number}/{theirs}"
            for number, unit in enumerate(units)
            for layer, ours, kind, theirs in leaves
        },
        anonymous=(conv, norm),
        published={
            file + "_notop.h5": "bcbd6486424b2319ff4ef7d526e38f63",
            file + ".h5": "9a0d58056eeedaa3f26cb7ebd46da564",
        },
    )


def _efficientnet_b0() -> NameTable:
    names = _by_path(EfficientNetB0.KERAS_LAYERS, {})
    file = _GOOGLE + "keras-applications/efficientnetb0"
    return NameTable(
        names=names,
        anonymous=("normalization",),
        swapped=tuple(name for name in names.values() if name.endswith("_dwconv/kernel")),
        # How many images Keras took the mean of.
        left_out=(*_IMAGENET_HEAD, "normalization_0/count"),
        constants={
            "normalization_0/mean": (MEAN,),
            # The published files hold the deviation, and Keras then divides by its root a second
            # time; a network built without "imagenet" has the square, which divides once.
            "normalization_0/variance": (DEVIATION, tuple(value**2 for value in DEVIATION)),
        },
        published={
            file + "_notop.h5": "50bc09e76180e00e4465e1a485ddc09d",
            file + ".h5": "902e53a9f72be733fc0bcb005b3ebbac",
        },
    )


def _mobilenet_v2() -> NameTable:
    ends = {"Conv1/conv": "Conv1", "Conv1/bn": "bn_Conv1", "Conv_1/conv": "Conv_1"}
    names = _by_path(MobileNetV2.KERAS_LAYERS, ends)
    renamed = {"Logits": "predictions"}
    for i, block in enumerate(BOTTLENECKS):
        for kind in ("expand", "depthwise", "project"):
            renamed[f"mobl{i}_conv_{i}_{kind}"] = f"{block}_{kind}"
            renamed[f"bn{i}_conv_{i}_bn_{kind}"] = f"{block}_{kind}_BN"
    file = _GOOGLE + "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2" + _TF + "_1.0_224"
    return NameTable(
        names=names,
        renamed=renamed,
        swapped=tuple(name for name in names.values() if name.endswith("_depthwise/kernel")),
        # `keras.applications.mobilenet_v2` has no checksums of them.
        published={file + "_no_top.h5": None, file + ".h5": None},
    )


def _by_path(layers: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """Our leaves by the paths of our modules, which Keras's names follow but for `own`."""
    return {
        f"backbone/{path}/{ours}": f"{own.get(path, path.replace('/', '_'))}/{theirs}"
        for path in filter(None, layers)
        for ours, theirs in _leaves(path).items()
    }


def _leaves(path: str) -> dict[str, str]:
    """Ours ← Keras's, within one layer."""
    if path.lower().endswith("bn"):
        return _NORM
    # Dense kernels are already (h, w, in, out), like Flax's; depthwise ones are (h, w, c, 1) there.
    return {"kernel": "kernel", "bias": "bias"} if "/se_" in path else {"kernel": "kernel"}


TABLES = {
    "inception_v3": _inception_v3(),
    "efficientnet_b0": _efficientnet_b0(),
    "mobilenet_v2": _mobilenet_v2(),
}
"""By the network's name in `config.model`; the checksums are those in `keras.applications`."""


def download_hint(model: str, out: str) -> str:
    """What to type for weights of `model` in the file `out`, the end of a sentence."""
    random = "start from random weights with --model.weights none"
    if model not in TABLES:
        return f"no weights of {model} are published that convert, so {random}"
    url, known = next(iter(TABLES[model].published.items()))
    md5 = f" (md5 {known})" if known else ""
    convert = f"fracjax convert {_file(url)} --model {model} --out {out}"
    return f"download {url}{md5}, convert it with `{convert}`, or {random}"


def _file(url: str) -> str:
    return url.rpartition("/")[2]


def published_status(model: str, md5: str) -> str:
    """Whether a file with this checksum is one that Keras publishes, in words."""
    files = {known: _file(url) for url, known in TABLES[model].published.items()}
    if md5 in files:
        return f"the file that Keras publishes as {files[md5]}"
    if None in files:
        return "Keras publishes no checksum of this network, so nobody can say whether it is theirs"
    known = ", ".join(f"{file} has {of_file}" for of_file, file in files.items())
    return f"not a file that Keras publishes: its md5 is {md5}, {known}"
