"""Stage 1 that points at the fracture: `stage1` with a map that learns FracAtlas's outlines.

fracjax train --config stage1_localise

Paper: §9 names it as further work.
Changes of `stage1`: `model.localise`, and nothing else.
Gave: not measured.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    weights = Path("weights/inception_v3.npz")
    return Config(
        workdir=Path("runs/stage1_localise"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=384,
            batch_size=32,
            positive_share=0.33,
        ),
        model=Model(
            name="inception_v3", weights=weights, dropout=0.5, precision="bfloat16", localise=True
        ),
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
