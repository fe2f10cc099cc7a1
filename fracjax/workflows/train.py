"""Train a run; say what it is and where it went."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from jax.sharding import Mesh
from rich.console import Console
from rich.table import Column, Table

from fracjax.config import Config, io
from fracjax.config.class_names import print_roles
from fracjax.errors import InputError
from fracjax.inference.ensemble_folder import folder_of
from fracjax.inference.stages import DetectorGate, open_detector_gate
from fracjax.report.recipe import KEPT, beside_text, phase_text, result_text
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata, config_path
from fracjax.training.checks import check_before_training, check_config
from fracjax.training.ensemble_configs import member_configs
from fracjax.training.estimate import estimate
from fracjax.training.loop import fit_members
from fracjax.training.model import abstract, summarise_phases
from fracjax.training.optimizer import block_rates, has_rates


def fit(config: Config, console: Console, *, profile_steps: int = 0) -> list[CheckpointMetadata]:
    """Train every network of a run, behind its detector if `data.filter` names one.

    A run that was cut short goes on; one that is over is not trained again. The networks of a
    learning curve are trained one after the other, as each has other steps.

    `profile_steps` steps are traced with JAX's profiler, into `WORKDIR/profile`.

    Returns:
      What the last checkpoint says of each network.

    Raises:
      InputError: bad input, before anything is overwritten; or a loss that is not finite.
    """
    print_roles(console, config.data.classes)
    one_by_one = [config]
    if config.sweep.subsets:
        check_before_training(config, data_mesh())  # all of them, before the first is trained
        one_by_one = member_configs(config)
    return [
        meta
        for one in one_by_one
        for meta in fit_members(
            one, console, open_detector=open_detector, profile_steps=profile_steps
        )
    ]


def open_detector(workdir: Path, mesh: Mesh) -> DetectorGate:
    """The detector that `data.filter` names; refused with what to do if it is none."""
    try:
        return open_detector_gate(folder_of(workdir), mesh)
    except InputError as error:
        raise InputError(
            f"data.filter is {workdir}, which is no detector to train behind: {error}. Train one "
            "there first, or set data.filter none"
        ) from error


def show_config(config: Config, console: Console) -> None:
    """Print the resolved config, every field; refused if it asks for what cannot be."""
    check_config(config)
    console.print_json(json.dumps(io.to_dict(config)))
    print_roles(console, config.data.classes)


def show_model(config: Config, console: Console) -> None:
    """Print the network: parameters, freezing and BatchNorm of every block, and the totals."""
    title = f"{config.model.name} at {config.data.image_size} pixels"
    phases = zip(config.phases, summarise_phases(config), strict=True)
    for number, (phase, (*blocks, total)) in enumerate(phases, 1):
        which = f", phase {number} of {len(config.phases)}" if len(config.phases) > 1 else ""
        table = Table(
            "block",
            Column("parameters", justify="right"),
            Column("of these trained", justify="right"),
            "state",
            "BatchNorm uses",
            title=f"{title}{which}: cut {phase.cut}, {phase.epochs} epochs",
        )
        rates = {}
        if has_rates(phase):
            rates = block_rates(phase, abstract(config).model.backbone.BLOCKS)
            table.add_column("learning rate", justify="right")
        for row in blocks:
            counts = (f"{row.parameters:,}", f"{row.trained:,}")
            factor = rates.get(row.block, phase.head_rate)  # of the pyramid, that of the head
            rate = [f"{phase.learning_rate * factor:.3g}"] if rates else []
            table.add_row(row.block, *counts, row.state, row.batch_norm, *rate)
        table.add_section()
        table.add_row("total", f"{total.parameters:,}", f"{total.trained:,}", "", "", style="bold")
        console.print(table, markup=False)
        console.print(
            f"{phase_text(phase, config.train)}.", markup=False, highlight=False, soft_wrap=True
        )
    words = result_text(config.train)
    words = f"{words[0].upper()}{words[1:]}. {beside_text(config)}"
    console.print(words.rstrip(), markup=False, highlight=False, soft_wrap=True)
    console.print("Parameters include the running statistics of BatchNorm, as Keras counts them.")


def show_estimate(config: Config, console: Console) -> None:
    """Print how long the run will take here, or what is missing to say so."""
    try:
        said = str(estimate(config, data_mesh()))
    except InputError as error:
        said = f"no estimate of how long it takes: {error}"
    console.print(f"{said}.", markup=False, highlight=False, soft_wrap=True)


def show_run(workdir: Path, metas: Sequence[CheckpointMetadata], console: Console) -> None:
    """Print how the networks of a run ended and where everything lies."""
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for meta in metas:
        say(
            f"{meta.config.workdir}: stopped after epoch {meta.epoch}; kept is epoch "
            f"{meta.best_epoch} ({KEPT[meta.config.train.keep]}), validation loss "
            f"{meta.best_loss:.4f} nats"
        )
    network = workdir if len(metas) == 1 else workdir / "member_*"
    places = {
        "config": config_path(workdir),
        "best checkpoint": network / "checkpoints" / "best",
        "last checkpoint": network / "checkpoints" / "last",
        "figures by epoch": network / "history.json",
        "TensorBoard events": network,
    }
    for name, path in places.items():
        say(f"  {name:20}{path}")
    say(f"next: fracjax evaluate --checkpoint {workdir} --split validation")
