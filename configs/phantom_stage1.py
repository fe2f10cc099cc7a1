"""Stage 1 of the demonstration: is the drawn bone broken? The basic CNN on two cores in a minute.

fracjax train --config phantom_stage1            (after `fracjax prepare phantom`)

Paper: §6.1, but for drawn studies.
Changes: a quarter of the paper's width, 64 pixels, batches of 16, and a learning rate that goes up
and down once. Dropout is 0.1: the paper's 0.3 takes this small network twice the epochs. The
threshold finds 95 % of the fractures of validation.
Gave: the report in docs/ is of `phantom_localise`, which adds a map.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/phantom_stage1"),
        threshold="sensitivity:0.95",
        data=Data(name="phantom", classes=("healthy", "fracture"), image_size=64, batch_size=16),
        model=Model(name="basic_cnn", dropout=0.1, width=0.25),
        augment=Augment(flip=True),
        phases=(Phase(epochs=8, learning_rate=1.5e-3, schedule="one_cycle"),),
        train=Train(patience=8),
    )
