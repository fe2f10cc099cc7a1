"""A network and a set of pictures small enough to train in a test."""

import dataclasses

import numpy as np
import pytest

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase
from fracjax.loading.batch import UNKNOWN, Examples, Outlines


@pytest.fixture(scope="session")
def examples() -> Examples:
    """Twenty pictures of 16 pixels; those of class 1 have a bright stripe.

    Of two columns, of two and of three values, not every value is known.
    """
    rng = np.random.default_rng(0)
    label = np.arange(20) % 2
    image = rng.integers(0, 128, (20, 16, 16, 1), dtype=np.uint8)
    image[label == 1, 7:9] += 120
    name = np.array([f"s{i}" for i in range(20)])
    second = np.stack([np.arange(20) // 3 % 2, np.arange(20) // 2 % 4 - 1], axis=-1)
    return Examples(study=name, image=image, label=label, group=name, second=second.astype("i4"))


@pytest.fixture(scope="session")
def outlined(examples) -> Examples:
    """The same with masks of the bright stripes, of which those of every third are not known."""
    masks = np.zeros((2, 16, 16), np.uint8)
    masks[1, 7:9] = 255
    row = np.where(np.arange(20) % 3 == 1, UNKNOWN, examples.label).astype(np.int32)
    return dataclasses.replace(examples, outlines=Outlines(masks, row))


@pytest.fixture(scope="session")
def config() -> Config:
    """A small CNN, frozen below block2, with augmentation and dropout."""
    return Config(
        data=Data(image_size=16, batch_size=8),
        model=Model(name="basic_cnn", width=0.125, dropout=0.5),
        freeze=Freeze(batch_norm="above_cut"),
        augment=Augment(flip=True, brightness=0.1),
        phases=(Phase(learning_rate=1e-3, cut="block2"),),
    )
