"""Keras's variables by name, filled by `recipe.py`; of the scripts that make goldens."""

import keras  # pyright: ignore[reportMissingImports]
import numpy as np
import recipe

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of EfficientNet's pictures


def ranked(layer):
    """A layer's name with its number; Keras calls the first of a kind `conv2d`, by rank 0."""
    return layer.name if layer.name.rpartition("_")[2].isdigit() else f"{layer.name}_0"


def by_name(model, *, numbered):
    """Every variable by its name; layers that Keras names by number get the rank of the number."""
    name_of = ranked if numbered else lambda layer: layer.name
    return {
        f"{name_of(layer)}/{v.path.rpartition('/')[2]}": v
        for layer in model.layers
        if layer.name != "normalization"
        for v in layer.weights
    }


def fill(model, variables):
    """Weights and statistics by the recipe, ImageNet's normalisation, no dropout."""
    for name, variable in variables.items():
        variable.assign(recipe.weight(name, tuple(variable.shape)))
    for layer in model.layers:
        if layer.name == "normalization":
            layer.set_weights([np.array(MEAN), np.square(DEVIATION), *layer.get_weights()[2:]])
            layer.finalize_state()
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
