"""Stage 2 on two CPU cores in ten minutes: InceptionV3 with features computed once.

fracjax train --config stage2_inception_cpu      (after stage1_cpu, evaluated on validation)

Paper: §6.2, §7.2 to §7.6.
Changes of `stage2_inception`: as in `stage1_cpu`, with eight views, because there are few studies,
and up to 40 epochs, not 75.
Gave: test accuracy 0.661 [0.53, 0.77], macro F1 0.633 [0.47, 0.78], n=56 (docs/earlier_results.md).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_inception_cpu"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1_cpu"),
        ),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="frozen", cached_views=8),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=40, learning_rate=1e-4, cut="249"),),
        train=Train(patience=10),
    )
