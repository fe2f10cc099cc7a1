"""Stage 2: which of three types? Bone break, InceptionV3 from ImageNet, behind `stage1`.

fracjax train --config stage2_inception          (after stage1, evaluated on validation)

Paper: §6.2, §7.2 to §7.6.
Changes of `stage2_inception_paper`: the learning rate is 1e-4, as §7.3 has it, since 1e-2 wrecks
pretrained weights in the first steps. Mirror images, which are as likely. No colour map and no
colour transformations: the weights know photographs, not jet. Images are grey: colour in a
radiograph is an arrow or a rendering, and tells the class without the bone.
Gave: not measured, for lack of an accelerator; `stage2_inception_cpu` was.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_inception"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1"),
        ),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=75, learning_rate=1e-4, cut="249"),),
        train=Train(patience=10),
    )
