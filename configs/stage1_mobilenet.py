"""Stage 1 with MobileNetV2 from ImageNet, all of it trained at 384 px: small enough to ship.

fracjax train --config stage1_mobilenet

Paper: §3.4 names the network.
Changes of `stage1`: a network of a tenth of the parameters, in float32, which a CPU computes as
well. Its BatchNorm is held, whose running statistics (momentum 0.999) would not settle in 1,900
steps.
Gave: test AUC 0.936 [0.89, 0.96], average precision 0.868 [0.80, 0.92], n=510; at its threshold
sensitivity 0.956 [0.89, 0.98], n=90, and specificity 0.505 [0.46, 0.55], n=420. Validation AUC
0.943 [0.90, 0.97], n=510. 116 seconds on an H200 beside two other runs, 19 of them compiling.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_mobilenet"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=384,
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
                epochs=25,
                learning_rate=3e-4,
                schedule="cosine",
                weight_decay=0.02,
                second_moment_decay=0.99,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.995),
    )
