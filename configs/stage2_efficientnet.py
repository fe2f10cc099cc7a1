"""Stage 2 with EfficientNet-B0: `stage2_efficientnet_paper.py` with steps that move it.

Data and augmentation are those of `stage2_inception.py`. The head learns at 1e-3 and the upper
blocks at 1e-4: twenty epochs of nine steps at 5e-6 hardly change a weight. The second phase begins
at a block (block6a), not within one, and has 40 epochs. BatchNorm is held below the cut, whose
features the steps cannot follow.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Freeze, Phase
from fracjax.config.io import load


def get_config() -> Config:
    paper = load(Path(__file__).with_name("stage2_efficientnet_paper.py"))
    ours = load(Path(__file__).with_name("stage2_inception.py"))
    return dataclasses.replace(
        paper,
        workdir=Path("runs/stage2_efficientnet"),
        data=ours.data,
        freeze=Freeze(batch_norm="above_cut"),
        augment=ours.augment,
        phases=(
            Phase(epochs=20, learning_rate=1e-3, cut="head", schedule="plateau"),
            Phase(epochs=40, learning_rate=1e-4, cut="block6a", schedule="plateau"),
        ),
    )
