"""What a training run is and where it went, on the screen."""

import json

from rich.console import Console
from rich.table import Table

from fracjax import config as config_lib
from fracjax.config import Config
from fracjax.training.checkpoint import Meta, config_path
from fracjax.training.loop import check_run
from fracjax.training.network import network_table


def show_config(config: Config, console: Console) -> None:
    """Print the resolved config, every field.

    Raises:
      UserError: it asks for what cannot be.
    """
    check_run(config)
    console.print_json(json.dumps(config_lib.to_dict(config)))


def show_network(config: Config, console: Console) -> None:
    """Print the network: parameters, freezing and BatchNorm of every block, and the totals.

    Raises:
      UserError: the config asks for a network that cannot be.
    """
    table = Table(title=f"{config.model.name} at {config.data.image_size} pixels")
    table.add_column("block")
    table.add_column("parameters", justify="right")
    table.add_column("of these trained", justify="right")
    table.add_column("state")
    table.add_column("BatchNorm uses")
    *blocks, total = network_table(config)
    for row in blocks:
        cells = (f"{row.parameters:,}", f"{row.trained:,}", row.state, row.batch_norm)
        table.add_row(row.block, *cells)
    table.add_section()
    table.add_row("total", f"{total.parameters:,}", f"{total.trained:,}", "", "", style="bold")
    console.print(table)
    console.print("Parameters include the running statistics of BatchNorm, as Keras counts them.")


def show_run(meta: Meta, console: Console) -> None:
    """Print how a run ended and where everything lies."""
    workdir = meta.config.workdir
    console.print(
        f"stopped after epoch {meta.epoch}; the best was epoch {meta.best_epoch}, validation loss "
        f"{meta.best_loss:.4f} nats",
        highlight=False,
    )
    places = {
        "config": config_path(workdir),
        "best checkpoint": workdir / "checkpoints" / "best",
        "last checkpoint": workdir / "checkpoints" / "last",
        "figures by epoch": workdir / "history.json",
        "TensorBoard events": workdir,
    }
    for name, path in places.items():
        console.print(f"  {name:20}{path}", highlight=False, soft_wrap=True)
    console.print(
        f"next: python scripts/evaluate.py --checkpoint {workdir} --split validation",
        highlight=False,
        soft_wrap=True,
    )
