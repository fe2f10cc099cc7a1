"""Stage 2 as the paper has it (§6.1, §7.5): the basic CNN on bone break's three classes.

A learning rate of 1e-4, up to 75 epochs, dropout 0.3. The paper gives this network no patience of
its own; 10 is that of section 7.6. Data and augmentation are those of `stage2_inception_paper.py`.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Model, Phase
from fracjax.config.io import load


def get_config() -> Config:
    paper = load(Path(__file__).with_name("stage2_inception_paper.py"))
    return dataclasses.replace(
        paper,
        workdir=Path("runs/stage2_cnn_paper"),
        model=Model(name="basic_cnn", dropout=0.3),
        phases=(Phase(epochs=75, learning_rate=1e-4),),
    )
