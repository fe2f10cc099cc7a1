"""Stage 2 on two CPU cores in five minutes: `stage2_mobilenet.py` with features computed once.

As in `stage2_inception_cpu.py`: BatchNorm held, eight views of every study.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Freeze
from fracjax.config.io import load


def get_config() -> Config:
    full = load(Path(__file__).with_name("stage2_mobilenet.py"))
    return dataclasses.replace(
        full,
        workdir=Path("runs/stage2_mobilenet_cpu"),
        data=dataclasses.replace(full.data, filter=Path("runs/stage1_cpu")),
        freeze=Freeze(batch_norm="frozen", cached_views=8),
    )
