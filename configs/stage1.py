"""Stage 1: is there a fracture? FracAtlas, InceptionV3 from ImageNet, trained from mixed9 on.

fracjax train --config stage1

Paper: §6.2, §7.2 to §7.4.
Changes of `stage1_paper`: the learning rate is 1e-4, as §7.3 has it, since 1e-2 wrecks pretrained
weights in the first steps. Rotation is by 10 degrees, which is what a limb on a table turns. The
threshold finds 95 % of the fractures of validation, where Youden's misses a third of them. The
patience is 5, since the validation loss is noisy.
Gave: not measured, for lack of an accelerator; `stage1_cpu` was.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1"),
        threshold="sensitivity:0.95",
        data=Data(name="fracatlas", classes=("normal", "fracture"), image_size=224, batch_size=32),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        augment=Augment(flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2),
        phases=(Phase(epochs=50, learning_rate=1e-4, cut="249"),),
        train=Train(patience=5),
    )
