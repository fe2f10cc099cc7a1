"""Stage 2 with the paper's ensemble: five InceptionV3 on four fifths of the studies each.

fracjax train --config stage2_ensemble           (after stage1, evaluated on validation)

Paper: §6, "Comment on architectures", which names neither number nor fraction.
Changes of `stage2_inception`: five members, each with a seed of its own for its studies and their
augmentation; probabilities are averaged and votes counted.
Gave: not measured; five MobileNetV2 gave accuracy 0.643 [0.51, 0.76], n=56 (docs/results.md).
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Ensemble, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_ensemble"),
        data=Data(
            name="bone_break",
            classes=("Comminuted fracture", "Fracture Dislocation", "Pathological fracture"),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1"),
            subset=0.8,
        ),
        model=Model(name="inception_v3", weights=Path("weights/inception_v3.npz"), dropout=0.5),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=75, learning_rate=1e-4, cut="249"),),
        train=Train(patience=10),
        ensemble=Ensemble(members=5),
    )
