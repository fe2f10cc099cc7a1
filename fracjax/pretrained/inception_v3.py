"""InceptionV3: our paths ← Keras's names.

The order is that of `keras.applications.inception_v3`, which builds branch by branch and gives its
layers no names, so that they count conv2d, conv2d_1, ... in this order.
"""

from fracjax.pretrained.published import Published

_A = "b1x1 b5x5_1 b5x5_2 b3x3dbl_1 b3x3dbl_2 b3x3dbl_3 pool"
_B = "b1x1 b7x7_1 b7x7_2 b7x7_3 b7x7dbl_1 b7x7dbl_2 b7x7dbl_3 b7x7dbl_4 b7x7dbl_5 pool"
_C = "b1x1 b3x3_1 b3x3_2a b3x3_2b b3x3dbl_1 b3x3dbl_2 b3x3dbl_3a b3x3dbl_3b pool"
_BUILD_ORDER = {
    "stem": "conv1 conv2 conv3 conv4 conv5",
    "mixed0": _A,
    "mixed1": _A,
    "mixed2": _A,
    "mixed3": "b3x3 b3x3dbl_1 b3x3dbl_2 b3x3dbl_3",
    "mixed4": _B,
    "mixed5": _B,
    "mixed6": _B,
    "mixed7": _B,
    "mixed8": "b3x3_1 b3x3_2 b7x7x3_1 b7x7x3_2 b7x7x3_3 b7x7x3_4",
    "mixed9": _C,
    "mixed10": _C,
}
UNITS = tuple(f"{block}/{unit}" for block, units in _BUILD_ORDER.items() for unit in units.split())

# Ours ← Keras, within one unit. Keras kernels are already (h, w, in, out), like Flax's.
_LEAVES = {
    "conv/kernel": "conv2d_{}/kernel",
    "norm/bias": "batch_normalization_{}/beta",
    "norm/mean": "batch_normalization_{}/moving_mean",
    "norm/var": "batch_normalization_{}/moving_variance",
}

NAMES = {
    f"backbone/{unit}/{ours}": theirs.format(number)
    for number, unit in enumerate(UNITS)
    for ours, theirs in _LEAVES.items()
}
"""Keras's name of every leaf, its layers numbered from 0 by `keras_h5.by_build_order`."""

ANONYMOUS = ("conv2d", "batch_normalization")
"""Classes whose layers Keras numbers."""

LEFT_OUT = ("predictions/kernel", "predictions/bias")
"""The ImageNet head, in files with the top."""

RENAMED: dict[str, str] = {}
"""Layers that older files name otherwise: their name there, and here."""

SWAPPED: tuple[str, ...] = ()
"""Arrays whose last two axes are the other way round here."""

CONSTANTS: dict[str, tuple[tuple[float, ...], ...]] = {}
"""Arrays that are built into our network, with the values that they may have."""

_FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
PUBLISHED = (
    Published(
        _FOLDER + "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="bcbd6486424b2319ff4ef7d526e38f63",
    ),
    Published(
        _FOLDER + "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
        md5="9a0d58056eeedaa3f26cb7ebd46da564",
    ),
)
"""Without the top, then with it; the checksums are those in `keras.applications.inception_v3`."""
