"""Stage 2 with the basic CNN: `stage2_cnn_paper.py` for few studies and many parameters.

Data and augmentation are those of `stage2_inception.py`, in batches of 16: the running statistics
of BatchNorm need some five hundred steps to settle, and nine steps an epoch make that slow. One
cycle of the learning rate up to 5e-4, which ends with small steps and so with settled statistics.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Phase, Train
from fracjax.config.io import load


def get_config() -> Config:
    paper = load(Path(__file__).with_name("stage2_cnn_paper.py"))
    ours = load(Path(__file__).with_name("stage2_inception.py"))
    return dataclasses.replace(
        paper,
        workdir=Path("runs/stage2_cnn"),
        data=dataclasses.replace(ours.data, batch_size=16),
        augment=ours.augment,
        phases=(Phase(epochs=75, learning_rate=5e-4, schedule="one_cycle"),),
        train=Train(patience=30),
    )
