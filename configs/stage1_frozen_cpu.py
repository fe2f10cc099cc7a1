"""Base of an ablation that two cores can afford: a head on MobileNetV2's features at 128 px.

fracjax train --config stage1_frozen_cpu          (or `fracjax ablate stage1_frozen_cpu`)

Paper: §3.4 names the network.
Changes of `stage1_mobilenet_cpu`: 128 pixels; the backbone is frozen, and three views of each study
are kept as features.
Gave: AUC 0.840 [0.82, 0.86] out of fold, n=2902. On two cores, with `--jobs 2`, two minutes a
lever, and five where it changes the pictures.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_frozen_cpu"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=128,
            batch_size=32,
            positive_share=0.33,
        ),
        model=Model(name="mobilenet_v2", weights=Path("weights/mobilenet_v2.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="frozen", cached_views=3),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2, test_views="flip"
        ),
        phases=(
            Phase(
                epochs=15,
                learning_rate=3e-3,
                cut="head",
                schedule="cosine",
                weight_decay=0.02,
                second_moment_decay=0.99,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.99),
    )
