"""Stage 2 with MobileNetV2 from ImageNet, behind `stage1`.

fracjax train --config stage2_mobilenet           (after stage1, evaluated on validation)

Paper: §3.4, "analogously" to InceptionV3, with neither cut nor protocol.
Changes of `stage2_inception`: the network, whose BatchNorm is held: its momentum is 0.999.
Gave: not measured yet.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Loss, Model, Phase, Train


def get_config() -> Config:
    weights = Path("weights/mobilenet_v2.npz")
    return Config(
        workdir=Path("runs/stage2_mobilenet"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=320,
            channels="grey",
            filter=Path("runs/stage1"),
        ),
        model=Model(name="mobilenet_v2", weights=weights, dropout=0.5, precision="bfloat16"),
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
                learning_rate=3e-4,
                schedule="cosine",
                weight_decay=0.02,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.98),
    )
