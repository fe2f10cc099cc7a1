"""The floor: logistic regression on the frozen features of a config's network, on its own split.

python benchmarks/frozen_features.py --config configs/stage2_mobilenet_cpu.py [--data.filter None]

Nothing of the network is trained. The strength of the penalty is chosen on validation; the figures
are those of the test studies. Whatever trains the network must beat it on the same studies.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fracjax.cli.process import door
from fracjax.config.io import load
from fracjax.evaluation import per_class_report
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import open_dataset
from fracjax.models.backbone import HEAD
from fracjax.report.tables import per_class_table
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checks import check_config, check_weights
from fracjax.training.feature_cache import Prefix, cache_view
from fracjax.training.model import init

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=Path("configs/stage2_mobilenet_cpu.py"))
    ours, overrides = parser.parse_known_args()
    config = load(ours.config, overrides, __doc__ or "")
    check_config(config)
    check_weights(config)
    network, dataset = init(config), open_dataset(config.data)

    def features(part: str) -> tuple[np.ndarray, Examples]:
        examples = dataset.part(part)
        with tempfile.TemporaryDirectory() as folder:
            prefix = Prefix(
                model=network.model,
                stop=HEAD,
                image=network.image,
                policy=config.augment,
                colormap=config.data.colormap,
            )
            view = cache_view(
                prefix,
                examples,
                key=None,
                batch_size=config.data.batch_size,
                mesh=data_mesh(),
                folder=Path(folder),
            )
            maps = view.pictures().astype(np.float32)
        return (maps.mean(axis=(1, 2)) if maps.ndim == 4 else maps), examples

    (x, train), (x_validation, validation), (x_test, test) = map(
        features, ("train", "validation", "test")
    )

    def fitted(c: float) -> Pipeline:
        model = LogisticRegression(C=c, max_iter=5000)
        return make_pipeline(StandardScaler(), model).fit(x, train.label)

    best = max(
        (fitted(c) for c in PENALTIES), key=lambda m: m.score(x_validation, validation.label)
    )
    report = per_class_report(
        test.label, best.predict_proba(x_test), config.data.classes, test.group
    )
    console = Console()
    console.print(per_class_table(report, f"{config.model.name}, C = {best[-1].C:g}").rich())


if __name__ == "__main__":
    with door():
        main()
