"""Make the golden of Keras's augmentation layers, each with its draw pinned to one end.

KERAS_BACKEND=jax python tests/augment/make_keras_layer_goldens.py

Written with keras 3.15.1. Outside of the picture is black (`fill_mode="constant"`).

  keras_layers.npz
    image         (13, 16, 3), in [0, 255]
    zoom          by RandomZoom, factor 0.2
    rotation      by RandomRotation, factor 0.05 of a full turn
    translation   by RandomTranslation, 0.1 of the height and -0.2 of the width
    flip          by RandomFlip("horizontal"), whichever draw it was
    brightness    by RandomBrightness, factor 0.2
    contrast      by RandomContrast, the distance from the mean scaled by 1.5
"""

from pathlib import Path

import keras  # pyright: ignore[reportMissingImports]
import numpy as np

layers = keras.layers
LAYERS = {
    "zoom": layers.RandomZoom((0.2, 0.2), fill_mode="constant"),
    "rotation": layers.RandomRotation((0.05, 0.05), fill_mode="constant"),
    "translation": layers.RandomTranslation((0.1, 0.1), (-0.2, -0.2), fill_mode="constant"),
    "brightness": layers.RandomBrightness((0.2, 0.2)),
}

if __name__ == "__main__":
    image = np.random.default_rng(0).uniform(0, 255, (13, 16, 3)).astype(np.float32)
    made = {name: layer(image[None], training=True)[0] for name, layer in LAYERS.items()}
    flip = layers.RandomFlip("horizontal")
    flipped = (np.asarray(flip(image[None], training=True)[0]) for _ in range(100))
    made["flip"] = next(out for out in flipped if np.any(out != image))
    contrast = layers.RandomContrast(0.5)
    made["contrast"] = contrast.transform_images(
        image[None], {"contrast_factor": np.full((1, 1, 1, 1), 1.5, np.float32)}
    )[0]
    arrays = {name: np.asarray(out, np.float32) for name, out in made.items()}
    np.savez_compressed(Path(__file__).with_name("keras_layers.npz"), image=image, **arrays)  # pyright: ignore[reportArgumentType]
