"""Make small files of every kind that Keras 3 writes, for the test of the reader.

KERAS_BACKEND=jax python tests/goldens/make_keras_files.py

Written with keras 3.15.1. The network holds another one as a layer, and is compiled and trained, so
that the files have an optimiser's numbers too; then its weights are set by `recipe.py`.

  keras_nested.keras        what model.save() writes
  keras_nested_legacy.h5    what model.save() writes under the old ending
"""

from pathlib import Path

import keras  # pyright: ignore[reportMissingImports]
import numpy as np
import recipe

HERE = Path(__file__).parent


def nested():
    x = inside = keras.layers.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 1, use_bias=False, name="pointwise")(x)
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="dwconv")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    network = keras.Model(inside, x, name="backbone")
    layers = [network, keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.5)]
    return keras.Sequential([inside, *layers, keras.layers.Dense(2, name="out")])


if __name__ == "__main__":
    model = nested()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(np.zeros((2, 4, 4, 3)), np.zeros(2), verbose=0)
    for variable in model.weights:
        name = "/".join(variable.path.split("/")[-2:])
        variable.assign(recipe.weight(name, tuple(variable.shape)))
    model.save(HERE / "keras_nested.keras")
    model.save(HERE / "keras_nested_legacy.h5")
