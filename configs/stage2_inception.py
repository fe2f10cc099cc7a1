"""Stage 2: which of three types? Bone break, InceptionV3 from ImageNet, behind `stage1.py`.

`stage2_inception_paper.py` with four changes. The learning rate is 1e-4, as section 7.3 has it,
since 1e-2 wrecks pretrained weights in the first steps. Mirror images, which are as likely. No
colour map and no colour transformations: the weights know photographs, not jet. Pictures are grey:
colour in a radiograph is an arrow or a rendering, and tells the class without the bone.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Phase
from fracjax.config.io import load


def get_config() -> Config:
    paper = load(Path(__file__).with_name("stage2_inception_paper.py"))
    return dataclasses.replace(
        paper,
        workdir=Path("runs/stage2_inception"),
        data=dataclasses.replace(
            paper.data, channels="grey", colormap="none", filter=Path("runs/stage1")
        ),
        augment=dataclasses.replace(paper.augment, flip=True, colours=(), noise=0.0),
        phases=(Phase(epochs=75, learning_rate=1e-4, cut="249"),),
    )
