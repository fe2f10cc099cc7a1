"""Stage 1 of the demonstration: is the drawn bone broken, and where? The basic CNN on two cores.

fracjax train --config phantom_localise          (after `fracjax prepare phantom`)

Paper: §6.1 and, for the pointing, §9, but for drawn studies.
Changes of `phantom_stage1`: `model.localise`, which learns the boxes of breaks, and nothing else.
Gave: the report in docs/ is of this run.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/phantom_localise"),
        threshold="sensitivity:0.95",
        data=Data(name="phantom", classes=("healthy", "fracture"), image_size=64, batch_size=16),
        model=Model(name="basic_cnn", dropout=0.1, width=0.25, localise=True),
        augment=Augment(flip=True),
        phases=(Phase(epochs=8, learning_rate=1.5e-3, schedule="one_cycle"),),
        train=Train(patience=8),
    )
