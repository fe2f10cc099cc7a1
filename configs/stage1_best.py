"""Stage 1, the record: the mean of three networks, InceptionV3 at 384 and 512 px and MobileNetV2.

fracjax train --config stage1_best               (all three, one after the other)

Paper: §6, "Comment on architectures", names an ensemble.
Changes of `stage1`: it is joined by a second one with larger images and another seed, and by
`stage1_mobilenet`.
Gave: as the mean of the probabilities of three runs, validation AUC 0.961 and average precision
0.897, n=510; test AUC 0.931 and average precision 0.888, n=510, no better than each alone (0.927,
0.923, 0.936). Some 260 seconds on an H200, all three at once.
"""

from dataclasses import replace
from pathlib import Path

from fracjax.config import Config
from fracjax.config.io import load


def get_config() -> tuple[Config, ...]:
    first, small = load("stage1"), load("stage1_mobilenet")
    large = replace(first, data=replace(first.data, image_size=512))
    return (
        replace(first, workdir=Path("runs/stage1_best_384")),
        replace(large, workdir=Path("runs/stage1_best_512"), train=replace(large.train, seed=1)),
        replace(small, workdir=Path("runs/stage1_best_mobilenet")),
    )
