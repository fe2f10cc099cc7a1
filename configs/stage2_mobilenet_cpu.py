"""Stage 2 on two CPU cores in five minutes: MobileNetV2 with features computed once.

fracjax train --config stage2_mobilenet_cpu      (after stage1_cpu, evaluated on validation)

Paper: §3.4.
Changes of `stage2_mobilenet`: BatchNorm held, eight views of every study.
Gave: test accuracy 0.661 [0.53, 0.77], macro F1 0.659 [0.53, 0.77], n=56; accuracy 0.643 and 0.589
in other draws (docs/earlier_results.md).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_mobilenet_cpu"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1_cpu"),
        ),
        model=Model(name="mobilenet_v2", weights=Path("weights/mobilenet_v2.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="frozen", cached_views=8),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=75, learning_rate=1e-4, cut="block_16"),),
        train=Train(patience=10),
    )
