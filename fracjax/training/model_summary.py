"""Parameters, freezing and BatchNorm of every block of a model, as a table."""

import functools
from dataclasses import dataclass

from flax import nnx

from fracjax.config import Config
from fracjax.models.classifier import Classifier
from fracjax.training.freeze import FreezeSpec, batch_norms, is_inside, sizes
from fracjax.training.model import abstract


@dataclass(frozen=True)
class BlockSummary:
    """One line of the table.

    Attributes:
      block: a block of the backbone, "head" or "total".
      parameters: all of its parameters, running statistics included, as Keras counts them.
      trained: those among them that the optimiser changes.
      state: "trained", "frozen" or "part", of what is no running statistic.
      batch_norm: "batch" or "running" statistics, "part" where both occur, "-" without BatchNorm.
    """

    block: str
    parameters: int
    trained: int
    state: str
    batch_norm: str


def summarise(model: Classifier, spec: FreezeSpec) -> list[BlockSummary]:
    """One row per block, then the head, then the total; `model` may be abstract."""
    params, stats, norms = sizes(model, nnx.Param), sizes(model, nnx.BatchStat), batch_norms(model)

    def row(name: str, where: str) -> BlockSummary:
        here = {path: n for path, n in params.items() if is_inside(path, where)}
        total = sum(here.values())
        trained = sum(n for path, n in here.items() if path not in spec.frozen)
        norms_here = [path for path in norms if is_inside(path, where)]
        running = sum(path in spec.held for path in norms_here)
        return BlockSummary(
            block=name,
            parameters=total + sum(n for path, n in stats.items() if is_inside(path, where)),
            trained=trained,
            state=_part(trained, total, "frozen", "trained"),
            batch_norm=_part(running, len(norms_here), "batch", "running") if norms_here else "-",
        )

    blocks = [row(name, f"backbone/{name}") for name in model.backbone.BLOCKS]
    return [*blocks, row("head", "head"), row("total", "")]


def _part(count: int, total: int, none: str, every: str) -> str:
    return none if count == 0 else every if count == total else "part"


@functools.cache
def summarise_phases(config: Config) -> list[list[BlockSummary]]:
    """The table of each phase of a config, without data or weights.

    Raises:
      InputError: an impossible size, network or cut.
    """
    trainable = abstract(config)
    return [summarise(trainable.model, spec) for spec in trainable.freezes]
