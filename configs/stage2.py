"""Stage 2: which of three types? Bone break, InceptionV3 from ImageNet, on what stage 1 passes.

The paper's protocol (§7.2, §7.6) with a learning rate of 1e-4, as §7.3 has it, not 1e-2; and with
the geometric and intensity changes of §7.2 only. The classes are the paper's three (§7.5).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Optim, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            batch_size=32,
            filter=Path("runs/stage1"),
        ),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        freeze=Freeze(cut="249", batch_norm="all"),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        optim=Optim(learning_rate=1e-4),
        train=Train(epochs=75, patience=10),
    )
