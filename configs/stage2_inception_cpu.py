"""Stage 2 on two CPU cores in ten minutes: `stage2_inception.py` with features computed once.

As in `stage1_cpu.py`, with eight views, because there are few studies, and up to 40 epochs, not 75.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Freeze, Phase
from fracjax.config.io import load


def get_config() -> Config:
    full = load(Path(__file__).with_name("stage2_inception.py"))
    return dataclasses.replace(
        full,
        workdir=Path("runs/stage2_inception_cpu"),
        data=dataclasses.replace(full.data, filter=Path("runs/stage1_cpu")),
        freeze=Freeze(batch_norm="frozen", cached_views=8),
        phases=(Phase(epochs=40, learning_rate=1e-4, cut="249"),),
    )
