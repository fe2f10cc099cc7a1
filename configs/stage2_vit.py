"""Stage 2 with a Vision Transformer (§6, "Comment on architectures"): ViT-Ti/16, random weights.

The paper names neither size nor protocol, and got 14 % with ten classes. Here the ten classes train
all the way at 5e-4 in one cycle, with the data and the augmentation of `stage2_inception.py`;
ViT-S/16 is `--model.name vit_s16`.
"""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Model, Phase, Train
from fracjax.config.io import load

TEN = (
    "Avulsion fracture",
    "Comminuted fracture",
    "Fracture Dislocation",
    "Greenstick fracture",
    "Hairline Fracture",
    "Impacted fracture",
    "Longitudinal fracture",
    "Oblique fracture",
    "Pathological fracture",
    "Spiral Fracture",
)


def get_config() -> Config:
    ours = load(Path(__file__).with_name("stage2_inception.py"))
    return dataclasses.replace(
        ours,
        workdir=Path("runs/stage2_vit"),
        data=dataclasses.replace(ours.data, classes=TEN),
        model=Model(name="vit_ti16", dropout=0.1),
        phases=(Phase(epochs=75, learning_rate=5e-4, schedule="one_cycle"),),
        train=Train(patience=30),
    )
