"""Stage 2 as the paper has it (§6.2, §7.5, §7.6): InceptionV3 on bone break's three classes.

Every number is the paper's: a learning rate of 1e-2, up to 75 epochs, patience 10, on the studies
that stage 1 lets through. Of section 7.2 everything is here: each picture gets one of thirteen
colour transformations or stays as it is, then the five changes of "multi_augment_generator", in
sizes that the paper does not give, then the jet colour map, which here is on every part of the
split. The paper names five kinds of the thirteen; the others are ours.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train
from fracjax.config.schema import COLOURS


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_inception_paper"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            batch_size=32,
            colormap="jet",
            filter=Path("runs/stage1_paper"),
        ),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="all"),
        augment=Augment(
            colours=COLOURS,
            rotation=10.0,
            zoom=0.2,
            translation=0.1,
            brightness=0.2,
            contrast=0.2,
            noise=0.02,
        ),
        phases=(Phase(epochs=75, learning_rate=1e-2, cut="249"),),
        train=Train(patience=10),
    )
