"""Make the goldens of this folder with Keras 3 on the JAX backend.

KERAS_BACKEND=jax python tests/goldens/make_keras_goldens.py [--weights FILE.weights.h5]

Written with keras 3.15.1. `--weights` is the InceptionV3 file of FRACJAX_WEIGHTS, for the golden of
the real weights. Fill-ins come from `recipe.py`; layers are named by the rank of their number.

  keras_NETWORK_layers.csv        index, name, class, parameters, trainable ones
  keras_inception_v3.npz          feature maps or their means, random weights and statistics
  keras_inception_v3_real.npz     means of the map, real weights
  keras_basic_cnn.npz             logits in inference, then in training mode with new statistics
"""

import argparse
import csv
from pathlib import Path

import keras  # pyright: ignore[reportMissingImports]
import keras_variables
import numpy as np
import recipe

HERE = Path(__file__).parent
SIZES = ((107, 139), (224, 224), (299, 299))


def inception(side):
    keras.backend.clear_session()  # numbers layers from 0 again
    return keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(*side, 3))


def make_layers(name, application):
    keras.backend.clear_session()
    model = application(include_top=False, weights=None)
    with (HERE / f"keras_{name}_layers.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("index", "layer", "class", "parameters", "trainable"))
        for index, layer in enumerate(model.layers):
            trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_weights)
            out.writerow((index, layer.name, type(layer).__name__, layer.count_params(), trainable))


def make_features():
    maps = {}
    for side in SIZES:
        model = inception(side)
        keras_variables.fill(model, keras_variables.by_name(model, numbered=True))
        out = np.asarray(model(recipe.picture("picture", (1, *side, 3)), training=False))
        small = side[0] < 150
        maps[f"{side[0]}x{side[1]}"] = out if small else out.mean(axis=(1, 2))
    np.savez_compressed(HERE / "keras_inception_v3.npz", **maps)


def make_real_features(path):
    model = inception((139, 139))
    model.load_weights(path)
    out = np.asarray(model(recipe.picture("picture", (1, 139, 139, 3)), training=False))
    np.savez_compressed(HERE / "keras_inception_v3_real.npz", **{"139x139": out.mean(axis=(1, 2))})


def basic_cnn(side, filters, units, classes):
    """Section 6.1 and Table 3 of the paper, in the order that fits its counts; no dropout."""
    keras.backend.clear_session()
    layers = [keras.layers.Input((side, side, 3))]
    for n in filters:
        for _ in range(2):
            layers += [
                keras.layers.Conv2D(n, 3, padding="same", activation="relu"),
                keras.layers.BatchNormalization(),
            ]
        layers.append(keras.layers.MaxPooling2D())
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(units, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(classes),
    ]
    return keras.Sequential(layers)


def make_basic_cnn():
    counts = [basic_cnn(224, (32, 64, 128), 512, k).count_params() for k in (10, 3)]
    model = basic_cnn(18, (8, 16, 32), 128, 3)  # 18 → 9 → 4 → 2: an odd side on the way
    keras_variables.fill(model, keras_variables.by_name(model, numbered=True))
    x = recipe.picture("picture", (5, 18, 18, 3), 0.0, 1.0)
    logits = np.asarray(model(x, training=False))
    trained = np.asarray(model(x, training=True))
    stats = {
        f"{keras_variables.ranked(layer)}/{name}": np.asarray(getattr(layer, name))
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for name in ("moving_mean", "moving_variance")
    }
    np.savez_compressed(
        HERE / "keras_basic_cnn.npz",
        parameters=np.array(counts),
        logits=logits,
        logits_training=trained,
        **stats,  # pyright: ignore[reportArgumentType]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    weights = parser.parse_args().weights
    make_layers("inception_v3", keras.applications.InceptionV3)
    make_layers("efficientnet_b0", keras.applications.EfficientNetB0)
    make_layers("mobilenet_v2", keras.applications.MobileNetV2)
    make_features()
    make_basic_cnn()
    if weights:
        make_real_features(weights)
