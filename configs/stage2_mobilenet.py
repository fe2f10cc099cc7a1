"""Stage 2 with MobileNetV2 from ImageNet, behind `stage1`.

fracjax train --config stage2_mobilenet          (after stage1, evaluated on validation)

Paper: §3.4, "analogously" to InceptionV3, with neither cut nor protocol.
Changes of `stage2_inception`: the network, trained from block_16 on, the last inverted residual,
which like InceptionV3's mixed9 leaves half of the parameters to train.
Gave: not measured, for lack of an accelerator; `stage2_mobilenet_cpu` was.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_mobilenet"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1"),
        ),
        model=Model(name="mobilenet_v2", weights=Path("weights/mobilenet_v2.npz"), dropout=0.5),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=75, learning_rate=1e-4, cut="block_16"),),
        train=Train(patience=10),
    )
