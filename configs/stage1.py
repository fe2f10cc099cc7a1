"""Stage 1: is there a fracture? FracAtlas, InceptionV3 from ImageNet, trained from mixed9 on.

The paper's protocol (§6.2, §7.2, §7.4) with three changes: a learning rate of 1e-4 as §7.3 has it,
not 1e-2; rotation by 10 degrees, not 36; and a threshold that finds 95 % of the fractures of the
validation studies, where Youden's misses a third of them.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Optim, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1"),
        threshold="sensitivity:0.95",
        data=Data(name="fracatlas", classes=("normal", "fracture"), image_size=224, batch_size=32),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        freeze=Freeze(cut="249", batch_norm="all"),
        augment=Augment(flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2),
        optim=Optim(learning_rate=1e-4),
        train=Train(epochs=50, patience=3),
    )
