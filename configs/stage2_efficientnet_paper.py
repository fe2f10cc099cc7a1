"""Stage 2 as the paper has it: EfficientNet-B0 on bone break's three classes.

fracjax train --config stage2_efficientnet_paper (after stage1_paper, evaluated on validation)

Paper: §6.3, §7.2, §7.7: two phases of 20 epochs, the head at 1e-4, then from Keras's layer 200 on
("the last 37") at 5e-6, with early stopping and a reduction of the learning rate on a plateau. It
gives neither patience nor factor: 10 is the patience of §7.6, 5 and 0.1 are ours and Keras's. Data
and augmentation are those of `stage2_inception_paper`. BatchNorm trains in both phases, as §6.3
says; §7.7 has the first phase train "solely" the dense layer (--freeze.batch-norm frozen holds it
in both).
Changes: none; every number is the paper's.
Gave: not measured. The paper: accuracy 0.261, n=46.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train
from fracjax.config.schema import COLOURS


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_efficientnet_paper"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            colormap="jet",
            batch_size=32,
            filter=Path("runs/stage1_paper"),
        ),
        model=Model(
            name="efficientnet_b0", weights=Path("weights/efficientnet_b0.npz"), dropout=0.5
        ),
        augment=Augment(
            rotation=10.0,
            zoom=0.2,
            translation=0.1,
            brightness=0.2,
            contrast=0.2,
            noise=0.02,
            colours=COLOURS,
        ),
        phases=(
            Phase(epochs=20, learning_rate=1e-4, cut="head", schedule="plateau"),
            Phase(epochs=20, learning_rate=5e-6, cut="200", schedule="plateau"),
        ),
        train=Train(patience=10, plateau_patience=5, plateau_factor=0.1),
    )
