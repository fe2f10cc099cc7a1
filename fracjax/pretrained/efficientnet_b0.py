"""EfficientNet-B0: our paths ← Keras's names, which `keras.applications.efficientnet` gives."""

from fracjax.pretrained.published import Published

# Ours ← Keras, within one layer. Dense kernels are already (h, w, in, out), like Flax's.
_CONV = {"kernel": "kernel"}
_CONV_BIAS = {"kernel": "kernel", "bias": "bias"}
_NORM = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}

_ENDS = {"conv": _CONV, "bn": _NORM}
_FIRST = {
    "dwconv": _CONV,
    "bn": _NORM,
    "se_reduce": _CONV_BIAS,
    "se_expand": _CONV_BIAS,
    "project_conv": _CONV,
    "project_bn": _NORM,
}
_BLOCK = {"expand_conv": _CONV, "expand_bn": _NORM, **_FIRST}
_WIDENED = "2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a"
_LAYERS = {
    "stem": _ENDS,
    "block1a": _FIRST,  # does not expand
    **{f"block{name}": _BLOCK for name in _WIDENED.split()},
    "top": _ENDS,
}

NAMES = {
    f"backbone/{block}/{layer}/{ours}": f"{block}_{layer}/{theirs}"
    for block, layers in _LAYERS.items()
    for layer, leaves in layers.items()
    for ours, theirs in leaves.items()
}
"""Keras's name of every leaf."""

ANONYMOUS = ("normalization",)
"""Classes whose layers Keras numbers."""

RENAMED: dict[str, str] = {}
"""Layers that older files name otherwise: their name there, and here."""

SWAPPED = tuple(name for name in NAMES.values() if name.endswith("_dwconv/kernel"))
"""Arrays whose last two axes are the other way round here: depthwise kernels are (h, w, c, 1)."""

LEFT_OUT = ("predictions/kernel", "predictions/bias", "normalization_0/count")
"""The ImageNet head, in files with the top, and how many pictures Keras took the mean of."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONSTANTS = {
    "normalization_0/mean": (_MEAN,),
    # The published files hold the deviation, and Keras then divides by its root a second time; a
    # network that was built without "imagenet" has the square, which divides once.
    "normalization_0/variance": (_DEVIATION, tuple(value**2 for value in _DEVIATION)),
}
"""Arrays that are built into our network, with the values that they may have."""

_FOLDER = "https://storage.googleapis.com/keras-applications/"
PUBLISHED = (
    Published(_FOLDER + "efficientnetb0_notop.h5", md5="50bc09e76180e00e4465e1a485ddc09d"),
    Published(_FOLDER + "efficientnetb0.h5", md5="902e53a9f72be733fc0bcb005b3ebbac"),
)
"""Without the top, then with it; the checksums are those in `keras.applications.efficientnet`."""
