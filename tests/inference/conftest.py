"""Two stages that were never trained: networks of random numbers, saved as a run saves them."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracjax.config import Config, Data, Ensemble, Model
from fracjax.evaluation import choose_threshold
from fracjax.evaluation.temperature import Temperature
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.inference import calibration, training_images
from fracjax.inference.model_bundle import open_run
from fracjax.inference.stages import Stages, open_detector_gate, open_stages
from fracjax.loading.batch import Examples
from fracjax.runtime.atomic_files import to_json, write_json
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.ensemble_configs import member_configs
from fracjax.training.model import abstract, variables_of
from fracjax.training.step import TrainState
from tests.datasets.trees import encode, picture

TYPES = ("Comminuted fracture", "Fracture Dislocation", "Impacted fracture")


def examples_of(files: list[bytes], trained) -> Examples:
    """Files as the examples that `ModelBundle.predict` takes."""
    image = np.stack([decode(data, trained.meta.form) for data in files])
    names = np.array([f"s{i}" for i in range(len(files))])
    return Examples(study=names, image=image, label=np.zeros(len(files), int), group=names)


def save_untrained(
    config: Config, channels: int, behind=None, seed: int = 0, cells: float = 2.0, **facts
) -> None:
    """A run as training leaves one, of random numbers; the more `cells`, the higher its peaks."""
    rng = np.random.default_rng(seed)

    def drawn(path, leaf):
        kind = path[-1].key
        if kind != "kernel":
            return np.full(leaf.shape, float(kind in ("var", "scale")), np.float32)
        # The head far apart, so that an answer given to another file would be seen.
        scale = {"head": 400.0, "cell": cells}.get(path[-2].key, 2.0) / np.prod(leaf.shape[:-1])
        return (scale**0.5 * rng.normal(size=leaf.shape)).astype(np.float32)

    for member in member_configs(config):
        model = abstract(member).model
        params, stats = (
            jax.tree.map_with_path(drawn, tree) for tree in variables_of(model).values()
        )
        state = TrainState(jnp.zeros((), jnp.int32), params, stats, None)
        known = {"split_hash": "split", "best_loss": 0.5, **facts}
        meta = CheckpointMetadata(
            member, model.image, epoch=1, best_epoch=1, channels=channels, filter=behind, **known
        )
        with Checkpoints(member.workdir) as checkpoints:
            checkpoints.save_best(state, meta)


def calibrate(detector: Config) -> None:
    """Store a temperature and the median score of the pictures of seeds 0 to 19 as a threshold."""
    files = [encode(picture(seed), "PNG") for seed in range(20)]
    trained = dataclasses.replace(open_run(detector.workdir, data_mesh()), temperature=1.7)
    scores = trained.predict(examples_of(files, trained)).fracture_score
    assert np.ptp(scores) > 0.05
    labels = (scores > np.median(scores)).astype(int)
    point = choose_threshold(f"fixed:{float(np.median(scores))!r}", labels, scores)
    stored = calibration.Calibration(point, Temperature(1.7, 20, None, None), 1, "float32")
    calibration.store(detector.workdir, stored, trained.metas)


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """Workdirs of a detector, two networks that see 16 grey pixels, and of a classifier of colour.

    The detector calls half of the pictures of seeds 0 to 19 fractured, and has a temperature.
    """
    root = tmp_path_factory.mktemp("stages")
    detector = Config(
        workdir=root / "stage1",
        data=Data(image_size=16, batch_size=8),
        model=Model(width=0.0625, dropout=0.0),
        ensemble=Ensemble(members=2),
    )
    save_untrained(detector, channels=1)
    calibrate(detector)
    types = dataclasses.replace(
        detector,
        workdir=root / "stage2",
        ensemble=Ensemble(),
        data=Data(image_size=24, batch_size=4, fit="pad", name="phantom_types", classes=TYPES),
    )
    behind = open_detector_gate(detector.workdir, data_mesh()).identity
    save_untrained(types, channels=3, behind=behind)
    return detector.workdir, types.workdir


@pytest.fixture(scope="session")
def stages(runs) -> Stages:
    """Both of them, opened."""
    return open_stages(runs[0], runs[1], data_mesh())


@pytest.fixture(scope="session")
def lone_detector(tmp_path_factory) -> Path:
    """Workdir of a detector of one network, with a threshold and the ranges of its training."""
    config = Config(
        workdir=tmp_path_factory.mktemp("lone") / "lone",
        data=Data(image_size=16, batch_size=8),
        model=Model(width=0.0625, dropout=0.0),
    )
    save_untrained(config, channels=1)
    calibrate(config)
    form = ImageFormat(16)
    shown = np.stack([decode(encode(picture(seed), "PNG"), form) for seed in range(20)])
    ranges = training_images.ranges_of(training_images.measure(shown), "split")
    write_json(training_images.path(config.workdir), to_json(ranges))
    return config.workdir
