"""Stage 2 with the paper's ensemble: five InceptionV3 on four fifths of the studies each.

fracjax train --config stage2_ensemble            (after stage1, evaluated on validation)

Paper: §6, "Comment on architectures", which names neither number nor fraction.
Changes of `stage2_inception`: five members, each with its own seed; the mean of probabilities.
Gave: not measured yet.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Ensemble, Loss, Model, Phase, Train


def get_config() -> Config:
    weights = Path("weights/inception_v3.npz")
    return Config(
        workdir=Path("runs/stage2_ensemble"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=320,
            channels="grey",
            filter=Path("runs/stage1"),
            subset=0.8,
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
        ensemble=Ensemble(members=5),
    )
