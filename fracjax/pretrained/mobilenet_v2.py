"""MobileNetV2: our paths ← Keras's names, which `keras.applications.mobilenet_v2` gives."""

from fracjax.pretrained.published import Published

# Ours ← Keras, within one layer. Dense kernels are already (h, w, in, out), like Flax's.
_CONV = {"kernel": "kernel"}
_NORM = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}

# Our modules, within a block, and Keras's layers.
_UNITS = {
    "expand": _CONV,
    "expand_BN": _NORM,
    "depthwise": _CONV,
    "depthwise_BN": _NORM,
    "project": _CONV,
    "project_BN": _NORM,
}
_BLOCKS = ("expanded_conv", *(f"block_{i}" for i in range(1, 17)))
_LAYERS = {
    "Conv1/conv": ("Conv1", _CONV),
    "Conv1/bn": ("bn_Conv1", _NORM),
    **{
        f"{block}/{unit}": (f"{block}_{unit}", leaves)
        for block in _BLOCKS
        for unit, leaves in _UNITS.items()
        if not (block == "expanded_conv" and unit.startswith("expand"))  # it does not expand
    },
    "Conv_1/conv": ("Conv_1", _CONV),
    "Conv_1/bn": ("Conv_1_bn", _NORM),
}

NAMES = {
    f"backbone/{module}/{ours}": f"{layer}/{theirs}"
    for module, (layer, leaves) in _LAYERS.items()
    for ours, theirs in leaves.items()
}
"""Keras's name of every leaf."""

ANONYMOUS: tuple[str, ...] = ()
"""Classes whose layers Keras numbers."""

RENAMED = {
    **{
        f"mobl{i}_conv_{i}_{unit}": f"{block}_{unit}"
        for i, block in enumerate(_BLOCKS)
        for unit in ("expand", "depthwise", "project")
    },
    **{
        f"bn{i}_conv_{i}_bn_{unit}": f"{block}_{unit}_BN"
        for i, block in enumerate(_BLOCKS)
        for unit in ("expand", "depthwise", "project")
    },
    "Logits": "predictions",
}
"""Layers that older files, the published ones too, name otherwise: their name there, and here."""

SWAPPED = tuple(name for name in NAMES.values() if name.endswith("_depthwise/kernel"))
"""Arrays whose last two axes are the other way round here: depthwise kernels are (h, w, c, 1)."""

LEFT_OUT = ("predictions/kernel", "predictions/bias")
"""The ImageNet head, in files with the top."""

CONSTANTS: dict[str, tuple[tuple[float, ...], ...]] = {}
"""Arrays that are built into our network, with the values that they may have."""

_START = (
    "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224"
)
PUBLISHED = (Published(_START + "_no_top.h5", md5=None), Published(_START + ".h5", md5=None))
"""Without the top, then with it; `keras.applications.mobilenet_v2` has no checksums of them."""
