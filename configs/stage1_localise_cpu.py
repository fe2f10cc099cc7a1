"""Stage 1 that points at the fracture, on two CPU cores: MobileNetV2 at 384 px, half of it trained.

fracjax train --config stage1_localise_cpu

Paper: §3.4 names the network, §9 the pointing.
Changes of `stage1_localise`: a network of a tenth of the parameters, in float32, of which the last
four of 17 blocks train; the features of the others are kept, of three views of each study.
Gave: GAVE
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_localise_cpu"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=384,
            batch_size=32,
            positive_share=0.33,
        ),
        model=Model(
            name="mobilenet_v2",
            weights=Path("weights/mobilenet_v2.npz"),
            dropout=0.5,
            localise=True,
        ),
        freeze=Freeze(batch_norm="frozen", cached_views=3),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2, test_views="flip"
        ),
        phases=(
            Phase(
                epochs=10,
                learning_rate=5e-4,
                cut="block_13",
                schedule="cosine",
                weight_decay=0.02,
                second_moment_decay=0.99,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.99),
    )
