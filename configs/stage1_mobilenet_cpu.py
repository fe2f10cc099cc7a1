"""Stage 1 on two CPU cores in an hour: MobileNetV2 from ImageNet, all of it trained at 320 px.

fracjax train --config stage1_mobilenet_cpu

Paper: §3.4 names the network.
Changes of `stage1`: a network of a tenth of the arithmetic on smaller images, for fewer epochs, in
float32. Its BatchNorm is held, whose running statistics (momentum 0.999) would not settle in some
900 steps.
Gave: not measured with an interval.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_mobilenet_cpu"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=320,
            batch_size=32,
            positive_share=0.33,
        ),
        model=Model(name="mobilenet_v2", weights=Path("weights/mobilenet_v2.npz"), dropout=0.5),
        freeze=Freeze(batch_norm="frozen"),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2, test_views="flip"
        ),
        phases=(
            Phase(
                epochs=12,
                learning_rate=3e-4,
                schedule="cosine",
                weight_decay=0.02,
                second_moment_decay=0.99,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.99),
    )
