"""Stage 2 with the paper's ensemble (§6, "Comment on architectures"): five InceptionV3.

Each member trains on four fifths of the studies, drawn and augmented by a seed of its own; their
probabilities are averaged and their votes counted. The paper names neither number nor share. The
rest is `stage2_inception.py`.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Ensemble
from fracjax.config.io import load


def get_config() -> Config:
    one = load(Path(__file__).with_name("stage2_inception.py"))
    return dataclasses.replace(
        one,
        workdir=Path("runs/stage2_ensemble"),
        data=dataclasses.replace(one.data, subset=0.8),
        ensemble=Ensemble(members=5),
    )
