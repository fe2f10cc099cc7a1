"""The optimiser of a phase: Adam, and what a recipe adds to it.

In this order: the gradients of all trained leaves are clipped by their common norm; Adam; the
decoupled weight decay of kernels (AdamW); the learning rate of each block relative to the others.
Frozen leaves are left out of all of it. What is off is no part of the program.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import optax

from fracjax.config import Phase
from fracjax.models.backbone import HEAD, leaf_name
from fracjax.training.freeze import FreezeSpec, is_inside, partial_updates

EPSILON = 1e-7  # Keras's, which the paper's runs had


def make_optimizer(
    phase: Phase, spec: FreezeSpec, blocks: Sequence[str]
) -> optax.GradientTransformationExtraArgs:
    """The optimiser of a phase of a network with these blocks, in running order.

    The learning rate is no part of it: the step multiplies the updates by it, the decay included,
    as in optax and PyTorch, so that one compiled step serves every schedule.

    Sources: Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1; Loshchilov and Hutter 2019,
    arXiv:1711.05101; Pascanu et al. 2013, arXiv:1211.5063, for the clipping.
    """
    parts: list[optax.GradientTransformation] = []
    if phase.clip_norm:
        parts.append(optax.clip_by_global_norm(phase.clip_norm))
    parts.append(optax.scale_by_adam(b2=phase.second_moment_decay, eps=EPSILON))
    if phase.weight_decay:
        parts.append(optax.add_decayed_weights(phase.weight_decay, mask=kernels))
    if has_rates(phase):
        rates = block_rates(phase, blocks).items()
        scales: dict[Hashable, optax.GradientTransformation]
        scales = {block: optax.scale(rate) for block, rate in rates}
        parts.append(optax.multi_transform(scales, _block_labels))
    return partial_updates(parts[0] if len(parts) == 1 else optax.chain(*parts), spec)


def has_rates(phase: Phase) -> bool:
    """Whether parts of the network have learning rates of their own."""
    return phase.head_rate != 1 or phase.block_decay != 1


def block_rates(phase: Phase, blocks: Sequence[str]) -> dict[str, float]:
    """Learning rate of each block, and of the head, as a multiple of the phase's.

    Source: Clark et al. 2020, arXiv:2003.10555, and Bao et al. 2022, arXiv:2106.08254: the head is
    the top layer, and each one below it has the next power of the decay.
    """
    below = range(len(blocks), 0, -1)
    rates = {block: phase.block_decay**n for block, n in zip(blocks, below, strict=True)}
    return rates | {HEAD: phase.head_rate}


def _block_labels(params: dict[str, Any]) -> dict[str, Any]:
    """The block that each leaf lies in; the head for all that lies on top of them."""

    def block(path: tuple[Any, ...], _: Any) -> str:
        name = leaf_name(path)
        return name.split("/")[1] if is_inside(name, "backbone") else HEAD

    return jax.tree.map_with_path(block, params)


def kernels(params: dict[str, Any]) -> dict[str, Any]:
    """Which leaves are kernels: of convolutions, dense layers and attention."""
    return jax.tree.map_with_path(
        lambda path, leaf: leaf_name(path).endswith("/kernel") and leaf.ndim >= 2, params
    )
