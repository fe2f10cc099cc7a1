"""Stage 1, the record: the mean of three networks, InceptionV3 at 384 and 512 px and MobileNetV2.

fracjax train --config stage1_best               (all three, one after the other)

Paper: §6, "Comment on architectures", names an ensemble.
Changes of `stage1`: it is joined by a second one with larger images and another seed, and by
`stage1_mobilenet`.
Gave: test AUC 0.931 [0.87, 0.97], n=510, no better than its members (0.927 [0.87, 0.96], 0.923
[0.86, 0.96] and 0.936 [0.89, 0.96]); validation AUC 0.961 [0.93, 0.98], n=510. It is the mean of
the predictions of three runs, which took some 260 seconds on an H200, all three at once.
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
