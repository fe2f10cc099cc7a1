"""Stage 2 with EfficientNet-B0 from ImageNet, behind `stage1`.

fracjax train --config stage2_efficientnet       (after stage1, evaluated on validation)

Paper: §6.3, §7.7.
Changes of `stage2_efficientnet_paper`: data and augmentation of `stage2_inception`. The head learns
at 1e-3 and the upper blocks at 1e-4: twenty epochs of nine steps at 5e-6 hardly change a weight.
The second phase begins at a block (block6a), not within one, and has 40 epochs. BatchNorm is held
below the cut, whose features the steps cannot follow.
Gave: not measured: the ImageNet weights were not at hand.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_efficientnet"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1"),
        ),
        model=Model(
            name="efficientnet_b0", weights=Path("weights/efficientnet_b0.npz"), dropout=0.5
        ),
        freeze=Freeze(batch_norm="above_cut"),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(
            Phase(epochs=20, learning_rate=1e-3, cut="head", schedule="plateau"),
            Phase(epochs=40, learning_rate=1e-4, cut="block6a", schedule="plateau"),
        ),
        train=Train(patience=10, plateau_patience=5, plateau_factor=0.1),
    )
