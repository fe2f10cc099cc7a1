"""Stage 1 on two CPU cores in half an hour: InceptionV3 with features computed once.

fracjax train --config stage1_cpu

Paper: §6.2, §7.2 to §7.4.
Changes of `stage1`: BatchNorm is held everywhere, so the blocks below the cut never change. Each
study passes through them in three views, one as it is and two augmented; every epoch then costs a
tenth. The learning rate goes up and down once over the sixteen epochs, which are few.
Gave: test AUC 0.855 [0.80, 0.89], n=510; at its threshold sensitivity 0.967 [0.91, 0.99], n=90,
and specificity 0.379 [0.33, 0.43], n=420 (docs/earlier_results.md).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_cpu"),
        threshold="sensitivity:0.95",
        data=Data(name="fracatlas", classes=("normal", "fracture"), image_size=224, batch_size=32),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="frozen", cached_views=3),
        augment=Augment(flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2),
        phases=(Phase(epochs=16, learning_rate=1e-4, cut="249", schedule="one_cycle"),),
        train=Train(patience=5),
    )
