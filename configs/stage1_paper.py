"""Stage 1 as the paper has it (§6.2, §7.2, §7.4): InceptionV3 on FracAtlas.

Every number is the paper's; where it contradicts itself, section 7.4 is followed: a learning rate
of 1e-2. "Rotation ±10 %" is Keras's RandomRotation(0.1), 36 degrees. The threshold is Youden's,
chosen on validation (the paper does not say on what).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_paper"),
        threshold="youden",
        data=Data(name="fracatlas", classes=("normal", "fracture"), image_size=224, batch_size=32),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="all"),
        augment=Augment(flip=True, rotation=36.0, zoom=0.2, brightness=0.2, contrast=0.2),
        phases=(Phase(epochs=50, learning_rate=1e-2, cut="249"),),
        train=Train(patience=3),
    )
