"""Where each part of InceptionV3 stands in Keras's list of layers.

Keras lists the layers of a graph by their depth below the output, not branch by branch. The cut at
"layer 249" of the paper is an index into that list, `keras.applications.InceptionV3().layers`.
`tests/goldens/keras_inception_v3_layers.csv` holds Keras's own.
"""


def _wave(units: str) -> list[str]:
    """Units that Keras lists together: their convolutions, their norms, their activations."""
    names = units.split()
    return [f"{n}/conv" for n in names] + [f"{n}/norm" for n in names] + [""] * len(names)


_STEM = [layer for number in range(1, 6) for layer in _wave(f"conv{number}")]
_LAYERS_A = [
    *_wave("b3x3dbl_1"),
    *("b5x5_1/conv", "b3x3dbl_2/conv", "b5x5_1/norm", "b3x3dbl_2/norm", "", "", ""),
    *_wave("b1x1 b5x5_2 b3x3dbl_3 pool"),
    "",
]
_LAYERS_REDUCTION_A = [*_wave("b3x3dbl_1"), *_wave("b3x3dbl_2"), *_wave("b3x3 b3x3dbl_3"), "", ""]
_LAYERS_B = [
    *_wave("b7x7dbl_1"),
    *_wave("b7x7dbl_2"),
    *_wave("b7x7_1 b7x7dbl_3"),
    *_wave("b7x7_2 b7x7dbl_4"),
    "",
    *_wave("b1x1 b7x7_3 b7x7dbl_5 pool"),
    "",
]
_LAYERS_REDUCTION_B = [
    *_wave("b7x7x3_1"),
    *_wave("b7x7x3_2"),
    *_wave("b3x3_1 b7x7x3_3"),
    *_wave("b3x3_2 b7x7x3_4"),
    *("", ""),
]
_LAYERS_C = [
    *_wave("b3x3dbl_1"),
    *_wave("b3x3_1 b3x3dbl_2"),
    *("b3x3_2a/conv", "b3x3_2b/conv", "b3x3dbl_3a/conv", "b3x3dbl_3b/conv", "", "b1x1/conv"),
    *("b3x3_2a/norm", "b3x3_2b/norm", "b3x3dbl_3a/norm", "b3x3dbl_3b/norm"),
    *("pool/conv", "b1x1/norm", "", "", "", "", "pool/norm", "", "", "", "", ""),
]
_LAYERS = {
    "stem": ["", *_STEM[:9], "", *_STEM[9:], ""],
    **dict.fromkeys(("mixed0", "mixed1", "mixed2"), _LAYERS_A),
    "mixed3": _LAYERS_REDUCTION_A,
    **dict.fromkeys(("mixed4", "mixed5", "mixed6", "mixed7"), _LAYERS_B),
    "mixed8": _LAYERS_REDUCTION_B,
    **dict.fromkeys(("mixed9", "mixed10"), _LAYERS_C),
}

# One path of a convolution or a BatchNorm per layer; "" where a layer has no parameters.
KERAS_LAYERS = tuple(
    layer and f"{block}/{layer}" for block, layers in _LAYERS.items() for layer in layers
)
