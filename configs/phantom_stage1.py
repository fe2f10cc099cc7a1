"""Stage 1 of the demonstration: is the drawn bone broken? The basic CNN, a quarter as wide."""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Optim, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/phantom_stage1"),
        threshold="sensitivity:0.95",
        data=Data(name="phantom", classes=("healthy", "fracture"), image_size=64, batch_size=16),
        model=Model(name="basic_cnn", dropout=0.1, width=0.25),
        augment=Augment(flip=True),
        optim=Optim(learning_rate=1.5e-3, schedule="one_cycle"),
        train=Train(epochs=8, patience=8),
    )
