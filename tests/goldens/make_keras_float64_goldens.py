"""Make goldens of one pass in training mode with Keras 3 on the JAX backend, in float64.

KERAS_BACKEND=jax python tests/goldens/make_keras_training_goldens.py

Written with keras 3.15.1. Weights, statistics and pictures come from `recipe.py`; dropout is off.
Of each network, `keras_NETWORK_training.npz` has

  inference    features in inference mode, averaged over the map, (b, f)
  training     the same in training mode
  statistics   by "layer/variable", the change of each running statistic, as a `recipe.sketch`
  gradients    by "layer/variable", the gradient of the loss by each parameter, likewise

The loss is the sum of the features in training mode times recipe's `loss`, over the batch's size.
"""

from pathlib import Path

import jax
import keras  # pyright: ignore[reportMissingImports]
import make_keras_goldens
import numpy as np
import recipe

HERE = Path(__file__).parent
BATCH = 4
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of EfficientNet's pictures


def by_name(model, *, numbered):
    """Every variable by its name; layers that Keras names by number get the rank of the number."""
    name_of = make_keras_goldens.ranked if numbered else lambda layer: layer.name
    return {
        f"{name_of(layer)}/{v.path.rpartition('/')[2]}": v
        for layer in model.layers
        if layer.name != "normalization"
        for v in layer.weights
    }


def fill(model, variables):
    for name, variable in variables.items():
        variable.assign(recipe.weight(name, tuple(variable.shape)))
    for layer in model.layers:
        if layer.name == "normalization":
            layer.set_weights([np.array(MEAN), np.square(DEVIATION), *layer.get_weights()[2:]])
            layer.finalize_state()
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0


def pooled(features):
    return features.mean((1, 2)) if features.ndim == 4 else features


def sketches(arrays):
    """A record of names and sketches, as one structured array."""
    rows = [(name, recipe.sketch(name, array)) for name, array in sorted(arrays.items())]
    return np.array(rows, [("name", "U60"), ("sketch", "f4", 9)])


def make(name, model, x, *, numbered=False):
    variables = by_name(model, numbered=numbered)
    fill(model, variables)
    trained = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    weights = recipe.uniform("loss", (x.shape[0], model.output_shape[-1]), -1, 1)

    def loss(trained):
        out, moved = model.stateless_call(trained, others, x, training=True)
        return (pooled(out) * weights).sum() / x.shape[0], (pooled(out), moved)

    (_, (out, moved)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(trained)
    inference = pooled(model.stateless_call(trained, others, x, training=False)[0])
    names = {id(v): variable for variable, v in variables.items()}
    by_variable = lambda those, values: {  # noqa: E731
        names[id(v)]: np.asarray(value)
        for v, value in zip(those, values, strict=True)
        if id(v) in names
    }
    changes = [new - old for new, old in zip(moved, others, strict=True)]
    np.savez_compressed(
        HERE / f"keras_{name}_training.npz",
        inference=np.asarray(inference, np.float32),
        training=np.asarray(out, np.float32),
        statistics=sketches(by_variable(model.non_trainable_variables, changes)),
        gradients=sketches(by_variable(model.trainable_variables, gradients)),
    )


def application(build, side):
    keras.backend.clear_session()
    return build(include_top=False, weights=None, input_shape=(side, side, 3))


def picture(side, low, high):
    return recipe.picture("picture", (BATCH, side, side, 3), low, high).astype(np.float64)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    # Keras's BatchNorm asks what float64 and float32 make together, and is told float32.
    keras.src.backend.result_type = lambda *_: "float64"
    apps = keras.applications
    make("mobilenet_v2", application(apps.MobileNetV2, 96), picture(96, -1, 1))
    make("efficientnet_b0", application(apps.EfficientNetB0, 96), picture(96, 0, 255))
    cnn = make_keras_goldens.basic_cnn(18, (8, 16, 32), 128, 3)
    make("basic_cnn", cnn, picture(18, 0, 1), numbered=True)
    make("inception_v3", application(apps.InceptionV3, 139), picture(139, -1, 1), numbered=True)
