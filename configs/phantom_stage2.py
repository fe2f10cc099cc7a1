"""Stage 2 of the demonstration: which break? Three types, on the phantoms that stage 1 passes.

fracjax train --config phantom_stage2            (after `fracjax prepare phantom_types` and stage 1)

Paper: §6.1, but for drawn studies.
Changes: network and schedule of `phantom_stage1`. Batches of 8, because there are few studies and
the running statistics of BatchNorm take some five hundred steps to settle.
Gave: not measured; `fracjax two-stages` trains and evaluates both stages.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/phantom_stage2"),
        threshold="youden",
        data=Data(
            name="phantom_types",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=64,
            batch_size=8,
            filter=Path("runs/phantom_stage1"),
        ),
        model=Model(name="basic_cnn", dropout=0.1, width=0.25),
        augment=Augment(flip=True),
        phases=(Phase(epochs=24, learning_rate=1.5e-3, schedule="one_cycle"),),
        train=Train(patience=24),
    )
