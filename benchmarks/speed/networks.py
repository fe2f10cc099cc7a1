"""The networks of `speed/run.py` and what part of each trains: the same for every contender.

Standard library only: the contenders' environments hold no fracjax.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Part = Literal["full", "all", "frozen"]
"""Everything trains; or what is above the paper's cut, with BatchNorm `all` or `frozen`."""

SIDE = 224


@dataclass(frozen=True)
class Cut:
    """Where the paper cuts a network.

    Attributes:
      ours: as `phases.cut` has it.
      keras: index of the first of Keras's layers that trains.
      convolutions: of the network below the cut, depthwise ones included.
      multiply_adds: of the layers above the cut, in one forward pass at 224×224.
    """

    ours: str
    keras: int
    convolutions: int
    multiply_adds: float


@dataclass(frozen=True)
class Network:
    """A network as all contenders build it.

    Attributes:
      outputs: one logit for two classes, or one for each of more.
      dropout: before the head and, in the basic CNN, after each block.
      multiply_adds: of its convolutions and dense layers, in one forward pass at 224×224.
      cut: the paper's; None where it has none.
    """

    outputs: int
    dropout: float
    multiply_adds: float
    cut: Cut | None = None


# Multiply-adds are counted layer by layer in Keras's networks, without padding taken off.
NETWORKS = {
    "basic_cnn": Network(3, 0.3, 1_944_421_888),
    "inception_v3": Network(1, 0.5, 2_835_873_120, Cut("249", 249, 76, 277_708_800)),
    "efficientnet_b0": Network(3, 0.5, 384_534_752, Cut("200", 200, 68, 83_681_536)),
    "mobilenet_v2": Network(3, 0.5, 299_494_272, Cut("block_16", 143, 48, 43_072_960)),
}


@dataclass(frozen=True)
class System:
    """One network, and what part of it trains."""

    network: str
    part: Part

    def spec(self, batch: int, precision: str) -> dict[str, Any]:
        """What a contender is told."""
        network = NETWORKS[self.network]
        return {
            "network": self.network,
            "part": self.part,
            "batch": batch,
            "side": SIDE,
            "precision": precision,
            "outputs": network.outputs,
            "dropout": network.dropout,
            "cut": asdict(network.cut) if network.cut and self.part != "full" else None,
        }

    def nominal_flops(self, kind: str) -> float:
        """Floating-point operations of one picture, two for a multiply-add.

        A training step has a forward pass, the gradients of all activations down to what trains,
        and those of the kernels that train. With BatchNorm `all`, that is down to the first layer.
        """
        network = NETWORKS[self.network]
        forward = network.multiply_adds
        if kind != "training":
            return 2 * forward
        if self.part == "full" or network.cut is None:
            return 6 * forward
        above = network.cut.multiply_adds
        return 2 * (forward + (forward if self.part == "all" else above) + above)


def systems(networks: tuple[str, ...], parts: tuple[Part, ...]) -> list[System]:
    """Those that were asked for and exist: the basic CNN has no cut."""
    return [
        System(name, part)
        for name in networks
        for part in parts
        if part == "full" or NETWORKS[name].cut is not None
    ]
