"""Stage 2 with MobileNetV2, "analogously" to InceptionV3 (§3.4), behind `stage1.py`.

The paper gives it neither cut nor protocol. Here it has those of `stage2_inception.py`, trained
from block_16 on, the last inverted residual, which like InceptionV3's mixed9 leaves half of the
parameters to the steps.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Model, Phase
from fracjax.config.io import load


def get_config() -> Config:
    one = load(Path(__file__).with_name("stage2_inception.py"))
    return dataclasses.replace(
        one,
        workdir=Path("runs/stage2_mobilenet"),
        model=Model(name="mobilenet_v2", weights=Path("weights/mobilenet_v2.npz"), dropout=0.5),
        phases=(Phase(epochs=75, learning_rate=1e-4, cut="block_16"),),
    )
