"""The whole job: detector, its threshold, classifier behind it, cascade on held-out studies."""

import dataclasses
from functools import partial
from pathlib import Path

from rich.console import Console

from fracjax.config import Config
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import DRAWN, Request
from fracjax.errors import InputError
from fracjax.inference.cascade import run_cascade
from fracjax.inference.stages import open_stages
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.multihost import run_on_main
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checks import check_before_training
from fracjax.training.ensemble_configs import is_sweep
from fracjax.training.starting_run import starts_later
from fracjax.workflows.cascade import report_cascade
from fracjax.workflows.evaluate import evaluate
from fracjax.workflows.train import fit, show_run


def run_two_stages(stage1: Config, stage2: Config, console: Console) -> Path:
    """Train and evaluate both stages; what is already done in their workdirs is not done again.

    The classifier's `data.filter` becomes the detector's workdir, which its `model.weights` may
    name, too. Phantoms are drawn if they are not there; other datasets must be prepared. Returns
    the folder of the cascade's figures.
    """
    if len(stage1.data.classes) != 2:
        raise InputError(
            f"stage 1 is a detector and needs two classes, not {len(stage1.data.classes)}: "
            "give its config first, then that of stage 2"
        )
    for number, config in enumerate((stage1, stage2), 1):
        if config.sweep.subsets:
            raise InputError(
                f"stage {number} is a learning curve: train it with `fracjax train`, and leave "
                "sweep.subsets out here"
            )
        if is_sweep(config):
            raise InputError(
                f"stage {number} is a sweep: train it with `fracjax train`, and give the learning "
                "rate that it finds here"
            )
    behind = dataclasses.replace(stage2.data, filter=stage1.workdir)
    stage2 = dataclasses.replace(stage2, data=behind)
    mesh = data_mesh()
    # Before hours are spent on the first of them.
    check_before_training(stage1, mesh)
    random = dataclasses.replace(stage2, model=dataclasses.replace(stage2.model, weights=None))
    check_before_training(random if starts_later(stage2, stage1) else stage2, mesh)
    for config in (stage1, stage2):
        run_on_main(partial(_draw_phantoms, config, console), "phantoms")
        open_dataset(config.data)
    for title, config in (("Stage 1: detector", stage1), ("Stage 2: type", stage2)):
        console.rule(title)
        show_run(config.workdir, fit(config, console), console)
        for part in ("validation", "test"):
            evaluate(config.workdir, part, mesh, console)
    console.rule("Both stages on held-out studies")
    folder = stage2.workdir / "cascade" / "test"
    stages = open_stages(stage1.workdir, stage2.workdir, mesh)
    report_cascade(run_cascade(stages, "test"), folder, console)
    return folder


def _draw_phantoms(config: Config, console: Console) -> None:
    name, folder = config.data.name, config.data.dir / config.data.name
    if name in DRAWN and not folder.exists():
        console.print(f"drawing phantoms into {folder}", markup=False, highlight=False)
        console.print(
            str(prepare(Request(name=name, data_dir=config.data.dir))),
            markup=False,
            highlight=False,
        )
