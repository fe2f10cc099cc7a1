"""Stage 1 as the paper has it: InceptionV3 on FracAtlas.

fracjax train --config stage1_paper

Paper: §6.2, §7.2, §7.4. Where it contradicts itself, §7.4 is followed: a learning rate of 1e-2.
"Rotation ±10 %" is Keras's RandomRotation(0.1), 36 degrees. The threshold is Youden's, chosen on
validation (the paper does not say on what).
Changes: none; every number is the paper's.
Gave: not measured. The paper: sensitivity 0.678, specificity 0.884, accuracy 0.876.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_paper"),
        threshold="youden",
        data=Data(name="fracatlas", classes=("normal", "fracture"), image_size=224, batch_size=32),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        augment=Augment(flip=True, rotation=36.0, zoom=0.2, brightness=0.2, contrast=0.2),
        phases=(Phase(epochs=50, learning_rate=1e-2, cut="249"),),
    )
