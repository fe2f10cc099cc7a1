"""Stage 2 as the paper has it (§6.3, §7.7): EfficientNet-B0 on bone break's three classes.

Two phases of 20 epochs: the head at 1e-4, then from Keras's layer 200 on ("the last 37") at 5e-6,
with early stopping and a reduction of the learning rate on a plateau. The paper gives neither
patience nor factor: 10 is the patience of section 7.6, 5 and 0.1 are ours and Keras's. Data and
augmentation are those of `stage2_inception_paper.py`. BatchNorm trains in both phases, as section
6.3 says; section 7.7 has the first phase train "solely" the dense layer (--freeze.batch-norm frozen
holds BatchNorm in both).
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Model, Phase, Train
from fracjax.config.io import load


def get_config() -> Config:
    paper = load(Path(__file__).with_name("stage2_inception_paper.py"))
    return dataclasses.replace(
        paper,
        workdir=Path("runs/stage2_efficientnet_paper"),
        model=Model(
            name="efficientnet_b0", weights=Path("weights/efficientnet_b0.npz"), dropout=0.5
        ),
        phases=(
            Phase(epochs=20, learning_rate=1e-4, cut="head", schedule="plateau"),
            Phase(epochs=20, learning_rate=5e-6, cut="200", schedule="plateau"),
        ),
        train=Train(patience=10, plateau_patience=5, plateau_factor=0.1),
    )
