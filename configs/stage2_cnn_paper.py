"""Stage 2 as the paper has it: the basic CNN on bone break's three classes.

fracjax train --config stage2_cnn_paper          (after stage1_paper, evaluated on validation)

Paper: §6.1, §7.2, §7.5: a learning rate of 1e-4, up to 75 epochs, dropout 0.3. It gives this
network no patience of its own; 10 is that of §7.6. Data and augmentation are those of
`stage2_inception_paper`.
Changes: none; every number is the paper's.
Gave: not measured. The paper: accuracy 0.522, n=46.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train
from fracjax.config.schema import COLOURS


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_cnn_paper"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            colormap="jet",
            batch_size=32,
            filter=Path("runs/stage1_paper"),
        ),
        model=Model(name="basic_cnn", dropout=0.3),
        augment=Augment(
            rotation=10.0,
            zoom=0.2,
            translation=0.1,
            brightness=0.2,
            contrast=0.2,
            noise=0.02,
            colours=COLOURS,
        ),
        phases=(Phase(epochs=75, learning_rate=1e-4),),
        train=Train(patience=10),
    )
