"""Stage 2 with a Vision Transformer: ViT-Ti/16 from random weights on bone break's ten classes.

fracjax train --config stage2_vit                (after stage1, evaluated on validation)

Paper: §6, "Comment on architectures", which names neither size nor protocol.
Changes: all ten classes train all the way at 5e-4 in one cycle, with the data and the augmentation
of `stage2_inception`; ViT-S/16 is `--model.name vit_s16`.
Gave: not measured; with three classes accuracy 0.411 [0.29, 0.54], n=56
(docs/earlier_results.md). The paper: 0.14 on validation.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage2_vit"),
        data=Data(
            name="bone_break",
            classes=(
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
            ),
            image_size=224,
            channels="grey",
            batch_size=32,
            filter=Path("runs/stage1"),
        ),
        model=Model(name="vit_ti16", dropout=0.1),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
        ),
        phases=(Phase(epochs=75, learning_rate=5e-4, schedule="one_cycle"),),
        train=Train(patience=30),
    )
