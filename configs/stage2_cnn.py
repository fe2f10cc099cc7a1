"""Stage 2 with the basic CNN, for few studies and many parameters, behind `stage1`.

fracjax train --config stage2_cnn                (after stage1, evaluated on validation)

Paper: §6.1, §7.5.
Changes of `stage2_cnn_paper`: data and augmentation of `stage2_inception`, in batches of 16: the
running statistics of BatchNorm need some five hundred steps to settle, and nine steps an epoch make
that slow. One cycle of the learning rate up to 5e-4, which ends low and so with settled statistics.
Gave: not measured; 5 of 8 epochs gave accuracy 0.321 [0.21, 0.45], n=56 (docs/earlier_results.md).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_cnn"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=16,
            filter=Path("runs/stage1"),
        ),
        model=Model(name="basic_cnn", dropout=0.3),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=75, learning_rate=5e-4, schedule="one_cycle"),),
        train=Train(patience=30),
    )
