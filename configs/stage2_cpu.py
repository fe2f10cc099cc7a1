"""Stage 2 on two CPU cores in ten minutes: `stage2.py` with features computed once.

As in `stage1_cpu.py`, with eight views, because there are few studies.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Freeze, Train, load


def get_config() -> Config:
    full = load(Path(__file__).with_name("stage2.py"))
    return dataclasses.replace(
        full,
        workdir=Path("runs/stage2_cpu"),
        data=dataclasses.replace(full.data, filter=Path("runs/stage1_cpu")),
        freeze=Freeze(cut="249", batch_norm="frozen", cached_views=8),
        train=Train(epochs=40, patience=10),
    )
