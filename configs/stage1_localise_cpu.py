"""Stage 1 that points at the fracture, on two CPU cores: MobileNetV2 at 384 px, its end trained.

fracjax train --config stage1_localise_cpu

Paper: §3.4 names the network, §9 the pointing.
Changes of `stage1_localise`: a network of a tenth of the parameters, in float32, that trains from
block 13 on; three views of each study are kept as features of the first blocks.
Gave: the highest mark hits a fracture in 0.600 [0.49, 0.70] of n=90 pictures of test (by chance
0.009); CPM 0.602 [0.51, 0.69], n=117 fractures; AP at IoU 0.5 0.139 [0.06, 0.25]. AUC 0.918 [0.87,
0.95], n=510; without the map 0.908 [0.86, 0.94]. 55 minutes on two busy cores.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_localise_cpu"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=384,
            batch_size=32,
            positive_share=0.33,
        ),
        model=Model("mobilenet_v2", Path("weights/mobilenet_v2.npz"), dropout=0.5, localise=True),
        freeze=Freeze(batch_norm="frozen", cached_views=3),
        augment=Augment(
            flip=True, rotation=10.0, zoom=0.2, brightness=0.2, contrast=0.2, test_views="flip"
        ),
        phases=(
            Phase(
                epochs=10,
                learning_rate=5e-4,
                cut="block_13",
                schedule="cosine",
                weight_decay=0.02,
                second_moment_decay=0.99,
                clip_norm=2.0,
            ),
        ),
        train=Train(keep="last", average=0.99),
    )
