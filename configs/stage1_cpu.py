"""Stage 1 on two CPU cores in half an hour: `stage1.py` with features computed once.

BatchNorm is held everywhere, so the blocks below the cut never change. Each study passes through
them in four views, one as it is and three augmented; every epoch then costs a tenth.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Freeze, Train, load


def get_config() -> Config:
    return dataclasses.replace(
        load(Path(__file__).with_name("stage1.py")),
        workdir=Path("runs/stage1_cpu"),
        freeze=Freeze(cut="249", batch_norm="frozen", cached_views=4),
        train=Train(epochs=16, patience=5),
    )
