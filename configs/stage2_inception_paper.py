"""Stage 2 as the paper has it: InceptionV3 on bone break's three classes.

fracjax train --config stage2_inception_paper    (after stage1_paper, evaluated on validation)

Paper: §6.2, §7.2, §7.5, §7.6: a learning rate of 1e-2, up to 75 epochs, patience 10, on the studies
that stage 1 lets through. Each image gets one of thirteen colour transformations or stays as it is,
then the five changes of "multi_augment_generator", in sizes that the paper does not give, then the
jet colour map, here on every part of the split. The paper names five of the thirteen.
Changes: none; every number is the paper's.
Gave: not measured. The paper: accuracy 0.674, n=46.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train
from fracjax.config.schema import COLOURS


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_inception_paper"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            colormap="jet",
            batch_size=32,
            filter=Path("runs/stage1_paper"),
        ),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        augment=Augment(
            rotation=10.0,
            zoom=0.2,
            translation=0.1,
            brightness=0.2,
            contrast=0.2,
            noise=0.02,
            colours=COLOURS,
        ),
        phases=(Phase(epochs=75, learning_rate=1e-2, cut="249"),),
        train=Train(patience=10),
    )
