"""Make goldens with Keras 3 on the JAX backend in float64, where no rounding hides a difference.

KERAS_BACKEND=jax python tests/goldens/make_keras_float64_goldens.py

Written with keras 3.15.1. Weights, statistics and pictures come from `recipe.py`; dropout is off.
`keras_odd_sides.npz` has, by network, features in inference mode, averaged over the map, on odd and
unequal sides. `keras_NETWORK_training.npz` has

  inference    features in inference mode, averaged over the map, (b, f)
  training     the same in training mode
  statistics   by "layer/variable", the change of each running statistic, as a `recipe.sketch`
  gradients    by "layer/variable", the gradient of the loss by each parameter, likewise

The loss is the sum of the features in training mode times recipe's `loss`, over the batch's size.
`keras_blocks.npz` has the same of one block of each kind, by "NETWORK/BLOCK": sketches of
"statistics" and "gradients" as above, and "output" of the whole map in inference and training. Its
loss is of the map.
"""

from pathlib import Path

import jax
import keras  # pyright: ignore[reportMissingImports]
import keras_variables
import make_keras_goldens
import numpy as np
import recipe

HERE = Path(__file__).parent
BATCH = 4
APPLICATIONS = {
    "inception_v3": "InceptionV3",
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_b0": "EfficientNetB0",
}
# One of each kind: the side of the network's input, and from the layer after which to the last.
BLOCKS = {
    "inception_v3": (
        75,
        {
            "stem": (None, "max_pooling2d_1"),
            "mixed0": ("max_pooling2d_1", "mixed0"),
            "mixed3": ("mixed2", "mixed3"),
            "mixed4": ("mixed3", "mixed4"),
            "mixed8": ("mixed7", "mixed8"),
            "mixed9": ("mixed8", "mixed9"),
        },
    ),
    "mobilenet_v2": (
        32,
        {
            "Conv1": (None, "Conv1_relu"),
            "expanded_conv": ("Conv1_relu", "expanded_conv_project_BN"),
            "block_1": ("expanded_conv_project_BN", "block_1_project_BN"),
            "block_2": ("block_1_project_BN", "block_2_add"),
        },
    ),
    "efficientnet_b0": (
        32,
        {
            "stem": (None, "stem_activation"),
            "block1a": ("stem_activation", "block1a_project_bn"),
            "block2a": ("block1a_project_bn", "block2a_project_bn"),
            "block2b": ("block2a_project_bn", "block2b_add"),
            "top": ("block7a_project_bn", "top_activation"),
        },
    ),
}


def pooled(features):
    return features.mean((1, 2)) if features.ndim == 4 else features


def sketches(arrays):
    """A record of names and sketches, as one structured array."""
    rows = [(name, recipe.sketch(name, array)) for name, array in sorted(arrays.items())]
    return np.array(rows, [("name", "U60"), ("sketch", "f4", 9)])


def one_pass(model, names, x, seen=lambda out: out):
    """Outputs in inference and in training, as `seen`; changes of statistics, and gradients."""
    trained = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]

    def loss(trained):
        out, moved = model.stateless_call(trained, others, x, training=True)
        out = seen(out)
        weights = recipe.uniform("loss", out.shape, -1, 1)
        return (out * weights).sum() / x.shape[0], (out, moved)

    (_, (out, moved)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(trained)
    inference = seen(model.stateless_call(trained, others, x, training=False)[0])
    changes = [new - old for new, old in zip(moved, others, strict=True)]

    def by_name(those, values):
        return {
            names[id(v)]: np.asarray(value)
            for v, value in zip(those, values, strict=True)
            if id(v) in names
        }

    return (
        {"inference": inference, "training": out},
        by_name(model.non_trainable_variables, changes),
        by_name(model.trainable_variables, gradients),
    )


def filled(model, *, numbered):
    """Fill a network by the recipe; names of its variables, by their identity."""
    variables = keras_variables.by_name(model, numbered=numbered)
    keras_variables.fill(model, variables)
    return {id(v): name for name, v in variables.items()}


def make(name, model, x, *, numbered=False):
    outputs, changes, gradients = one_pass(model, filled(model, numbered=numbered), x, pooled)
    np.savez_compressed(
        HERE / f"keras_{name}_training.npz",
        inference=np.asarray(outputs["inference"], np.float32),
        training=np.asarray(outputs["training"], np.float32),
        statistics=sketches(changes),
        gradients=sketches(gradients),
    )


def make_blocks():
    made = {}
    for network, (side, blocks) in BLOCKS.items():
        model = application(getattr(keras.applications, APPLICATIONS[network]), side, side)
        names = filled(model, numbered=network == "inception_v3")
        low, high = (0, 255) if network == "efficientnet_b0" else (-1, 1)
        for block, (before, last) in blocks.items():
            first = model.input if before is None else model.get_layer(before).output
            part = keras.Model(first, model.get_layer(last).output)
            shape = (BATCH, *first.shape[1:])
            ends = (low, high) if before is None else (-1, 1)
            x = recipe.picture("picture", shape, *ends).astype(np.float64)
            kinds = ("output", "statistics", "gradients")
            for what, arrays in zip(kinds, one_pass(part, names, x), strict=True):
                made[f"{network}/{block}/{what}"] = sketches(arrays)
    np.savez_compressed(HERE / "keras_blocks.npz", **made)


def make_odd_sides():
    """Keras pads by hand before a stride, by whether the side is odd."""
    means = {}
    for name, build, low, high in (
        ("efficientnet_b0", keras.applications.EfficientNetB0, 0.0, 255.0),
        ("mobilenet_v2", keras.applications.MobileNetV2, -1.0, 1.0),
    ):
        model = application(build, 75, 101)
        keras_variables.fill(model, keras_variables.by_name(model, numbered=False))
        x = recipe.picture("picture", (2, 75, 101, 3), low, high).astype(np.float64)
        means[name] = np.asarray(pooled(model(x, training=False)), np.float32)
    np.savez_compressed(HERE / "keras_odd_sides.npz", **means)


def application(build, *side):
    keras.backend.clear_session()
    return build(include_top=False, weights=None, input_shape=(*side, 3))


def picture(side, low, high):
    return recipe.picture("picture", (BATCH, side, side, 3), low, high).astype(np.float64)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    # Keras's BatchNorm asks what float64 and float32 make together, and is told float32.
    keras.src.backend.result_type = lambda *_: "float64"
    make_blocks()
    make_odd_sides()
    apps = keras.applications
    make("mobilenet_v2", application(apps.MobileNetV2, 96, 96), picture(96, -1, 1))
    make("efficientnet_b0", application(apps.EfficientNetB0, 96, 96), picture(96, 0, 255))
    cnn = make_keras_goldens.basic_cnn(18, (8, 16, 32), 128, 3)
    make("basic_cnn", cnn, picture(18, 0, 1), numbered=True)
    make(
        "inception_v3", application(apps.InceptionV3, 139, 139), picture(139, -1, 1), numbered=True
    )
