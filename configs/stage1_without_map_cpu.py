"""What the map of `stage1_localise_cpu` is worth: the same without it.

fracjax train --config stage1_without_map_cpu

Paper: §3.4 names the network.
Changes of `stage1_localise_cpu`: no `model.localise`.
Gave: AUC 0.908 [0.86, 0.94], n=510; with the map 0.918, paired difference 0.010 [-0.01, 0.03].
66 minutes on two busy cores.
"""

from pathlib import Path

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train


def get_config() -> Config:
    return Config(
        workdir=Path("runs/stage1_without_map_cpu"),
        threshold="sensitivity:0.95",
        data=Data(
            name="fracatlas",
            classes=("normal", "fracture"),
            image_size=384,
            batch_size=32,
            positive_share=0.33,
        ),
        model=Model("mobilenet_v2", Path("weights/mobilenet_v2.npz"), dropout=0.5),
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
