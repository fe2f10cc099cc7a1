"""Stage 2 with EfficientNet-B0 from ImageNet, behind `stage1`.

fracjax train --config stage2_efficientnet        (after stage1, evaluated on validation)

Paper: §6.3, §7.7.
Changes of `stage2_inception`: the network, slower but for its head, and BatchNorm held.
Gave: not measured: the ImageNet weights were not at hand.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Loss, Model, Phase, Train


def get_config() -> Config:
    weights = Path("weights/efficientnet_b0.npz")
    return Config(
        workdir=Path("runs/stage2_efficientnet"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=320,
            channels="grey",
            filter=Path("runs/stage1"),
        ),
        model=Model(name="efficientnet_b0", weights=weights, dropout=0.5, precision="bfloat16"),
        freeze=Freeze(batch_norm="frozen"),
        augment=Augment(
            flip=True,
            rotation=10.0,
            zoom=0.2,
            translation=0.1,
            brightness=0.2,
            contrast=0.2,
            mixup=0.3,
            test_views="flip",
        ),
        loss=Loss(label_smoothing=0.1),
        phases=(
            Phase(
                epochs=60,
                learning_rate=1e-4,
                schedule="cosine",
                weight_decay=0.02,
                clip_norm=2.0,
                head_rate=10.0,
            ),
        ),
        train=Train(keep="last", average=0.98),
    )
