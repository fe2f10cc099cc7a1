"""A run explained on its part: files, table, refusals."""

import io
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from fracjax.config import Config, Data, Model
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.evaluation import Estimate
from fracjax.explain.localisation import Levels, LocalisationReport, Score
from fracjax.inference.finding_maps import finding_maps
from fracjax.inference.marks import square_map
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.regions import regions
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.model import abstract, variables_of
from fracjax.training.step import TrainState
from fracjax.workflows.explain import NAMES, explain_run, localisation_table


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A detector of phantoms that was never trained."""
    root = tmp_path_factory.mktemp("explained")
    prepare(Request("phantom", data_dir=root / "data", count=24, side=32))
    return _saved(root, "run")


def _saved(root: Path, name: str, **model) -> Path:
    config = Config(
        workdir=root / name,
        data=Data(dir=root / "data", image_size=32, batch_size=8),
        model=Model(width=0.1, **model),
    )
    net = abstract(config).model
    rng = np.random.default_rng(0)
    params, stats = jax.tree.map(
        lambda like: rng.uniform(0.0, 0.2, like.shape).astype(np.float32),
        tuple(variables_of(net).values()),
    )
    state = TrainState(jnp.zeros((), jnp.int32), params, stats, None)
    split = open_dataset(config.data).split_hash
    meta = CheckpointMetadata(config, net.image, split, 1, [], 1, 0.5, 1)
    with Checkpoints(config.workdir) as checkpoints:
        checkpoints.save_best(state, meta)
    return config.workdir


def test_overlays_and_scores_of_the_fractures(run):
    console = Console(record=True, width=80, file=io.StringIO())
    folder = run / "out"
    explain_run(run, "test", data_mesh(1), console, folder, method="hirescam", studies=2)
    figures = json.loads((folder / "localisation.json").read_text())
    assert figures["source"]["method"] == "hirescam"
    assert figures["source"]["target"] == "positive"
    n = figures["figures"]["n"] + figures["figures"]["undefined"]
    test = open_dataset(Data(dir=run.parent / "data", image_size=32)).part("test")
    broken = test.study[test.label == 1]
    assert n == len(broken)
    # The first and the last of them, boxes and all.
    names = sorted(path.name for path in folder.glob("*.png"))
    assert names == [f"001_{broken[0]}.png", f"002_{broken[-1]}.png"]
    assert figures["figures"]["best"] is not None  # from validation
    shown = console.export_text()
    assert "HiResCAM against the findings" in shown
    assert "negative: healthy, positive: fracture\n" in shown


def test_a_learned_map_is_scored_beside(run):
    console = Console(record=True, width=100, file=io.StringIO())
    workdir, folder = _saved(run.parent, "map", localise=True), run / "beside"
    explain_run(workdir, "test", data_mesh(1), console, folder, studies=2)
    written = json.loads((folder / "localisation.json").read_text())
    own, gradients = written["learned_map"], written["figures"]
    assert [one["name"] for one in own["scores"]] == [one["name"] for one in gradients["scores"]]
    assert own["best"] is not None
    dataset = open_dataset(Data(dir=run.parent / "data", image_size=32))
    test = dataset.part("test")
    broken = test.take(test.label == 1)
    trained = open_run(workdir, data_mesh(1))
    maps = square_map(finding_maps(trained, broken.images()), trained.meta.form, 4)
    where = regions(dataset.prepared, broken.rows, trained.meta.form)
    hits = [
        bool(mask.ravel()[heat.argmax()])
        for heat, mask in zip(maps, where.box_masks(), strict=True)
    ]
    game = own["scores"][0]["maps"]
    assert (game["value"], game["n"]) == (np.mean(hits), len(broken))
    assert game["low"] <= game["value"] <= game["high"]
    names = sorted(path.name for path in folder.glob("*.png"))
    assert [name.endswith("_learned.png") for name in names] == [False, True] * 2
    shown = console.export_text()
    assert "the learned map against the findings" in shown
    value = gradients["scores"][0]["maps"]["value"]
    assert f"The highest point lies in a box: Grad-CAM {value:.3f}" in shown


def test_what_cannot_be_explained_is_refused(run):
    def explained(workdir: Path, studies: int = 2) -> None:
        explain_run(workdir, "test", data_mesh(1), Console(), run / "x", studies=studies)

    with pytest.raises(InputError, match="studies is 0; write 1 or more"):
        explained(run, studies=0)
    with pytest.raises(InputError, match="not a run"):
        explained(run / "nowhere")


def test_the_table_says_what_maps_are_compared_with():
    def figure(value: float) -> Estimate:
        return Estimate(value, value - 0.1, value + 0.1, 9, "Wilson")

    score = Score("box: pointing game", figure(0.5), figure(0.25), figure(0.125))
    report = LocalisationReport(9, 2, 8, 64, Levels(0.3, 0.75), (score,))
    table = localisation_table(report, NAMES["gradcam++"])
    title = "Grad-CAM++ against the findings: 9 studies with a box, 8 groups, 2 more whose"
    assert table.title.startswith(title)
    assert "best levels 0.3 and, of the middle, 0.75" in table.title
    assert table.header == ("score", "Grad-CAM++", "the middle", "chance (area)")
    assert table.rows == ((score.name, score.maps, score.centre, score.chance),)
