"""Stage 1 on two CPU cores in half an hour: `stage1.py` with features computed once.

BatchNorm is held everywhere, so the blocks below the cut never change. Each study passes through
them in three views, one as it is and two augmented; every epoch then costs a tenth. The step size
goes up and down once over the sixteen epochs, which are few.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Freeze, Phase, Train
from fracjax.config.io import load


def get_config() -> Config:
    return dataclasses.replace(
        load(Path(__file__).with_name("stage1.py")),
        workdir=Path("runs/stage1_cpu"),
        freeze=Freeze(batch_norm="frozen", cached_views=3),
        phases=(Phase(epochs=16, learning_rate=1e-4, cut="249", schedule="one_cycle"),),
        train=Train(patience=5),
    )
