"""Stage 2: which of three types? Bone break, InceptionV3 from ImageNet, behind `stage1`.

fracjax train --config stage2_inception           (after stage1, evaluated on validation)

Paper: §6.2, §7.2 to §7.6.
Changes of `stage2_inception_paper`: everything trains at 320 px, by AdamW on a cosine to 3e-4, with
mixup and smoothed labels; the last epoch's moving average is kept. Mirror images, in training and
in prediction. Grey images and no colour map: the weights know photographs, not jet.
Gave: not measured yet.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Loss, Model, Phase, Train


def get_config() -> Config:
    weights = Path("weights/inception_v3.npz")
    return Config(
        workdir=Path("runs/stage2_inception"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=320,
            channels="grey",
            filter=Path("runs/stage1"),
        ),
        model=Model(name="inception_v3", weights=weights, dropout=0.5, precision="bfloat16"),
        augment=Augment(
            flip=True,
            rotation=10.0,
            zoom=0.2,
            translation=0.1,
            brightness=0.2,
            contrast=0.2,
            mixup=0.3,
            test_views="flip",
        ),
        loss=Loss(label_smoothing=0.1),
        phases=(
            Phase(
                epochs=60,
                learning_rate=3e-4,
                schedule="cosine",
                weight_decay=0.02,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.98),
    )
