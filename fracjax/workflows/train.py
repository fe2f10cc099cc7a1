"""What a training run is and where it went, on the screen."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fracjax.config import Config, io
from fracjax.training.checkpoint import CheckpointMetadata, config_path
from fracjax.training.loop import check_run
from fracjax.training.network import network_tables


def show_config(config: Config, console: Console) -> None:
    """Print the resolved config, every field.

    Raises:
      UserError: it asks for what cannot be.
    """
    check_run(config)
    console.print_json(json.dumps(io.to_dict(config)))


def show_network(config: Config, console: Console) -> None:
    """Print the network: parameters, freezing and BatchNorm of every block, and the totals.

    Raises:
      UserError: the config asks for a network that cannot be.
    """
    title = f"{config.model.name} at {config.data.image_size} pixels"
    for number, (phase, rows) in enumerate(
        zip(config.phases, network_tables(config), strict=True), 1
    ):
        which = f", phase {number} of {len(config.phases)}" if len(config.phases) > 1 else ""
        table = Table(title=f"{title}{which}: cut {phase.cut}, {phase.epochs} epochs")
        table.add_column("block")
        table.add_column("parameters", justify="right")
        table.add_column("of these trained", justify="right")
        table.add_column("state")
        table.add_column("BatchNorm uses")
        *blocks, total = rows
        for row in blocks:
            cells = (f"{row.parameters:,}", f"{row.trained:,}", row.state, row.batch_norm)
            table.add_row(row.block, *cells)
        table.add_section()
        table.add_row("total", f"{total.parameters:,}", f"{total.trained:,}", "", "", style="bold")
        console.print(table)
    console.print("Parameters include the running statistics of BatchNorm, as Keras counts them.")


def show_run(workdir: Path, metas: Sequence[CheckpointMetadata], console: Console) -> None:
    """Print how the networks of a run ended and where everything lies."""
    for meta in metas:
        console.print(
            f"{meta.config.workdir}: stopped after epoch {meta.epoch}; the best was epoch "
            f"{meta.best_epoch}, validation loss {meta.best_loss:.4f} nats",
            highlight=False,
            soft_wrap=True,
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
        console.print(f"  {name:20}{path}", highlight=False, soft_wrap=True)
    console.print(
        f"next: python scripts/evaluate.py --checkpoint {workdir} --split validation",
        highlight=False,
        soft_wrap=True,
    )
