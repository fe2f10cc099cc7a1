"""How a change of one picture is applied to a batch: side by side, or one after the other."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Key


def per_picture(
    change: Callable[[Array, Array], Array],
    keys: Key[Array, " b"],
    images: Float[Array, "b h w c"],
) -> Float[Array, "b h w c2"]:
    """Apply `change`, a function of a key and a picture, to every picture with its own key.

    Both ways give the same pictures.
    """
    if in_turn():
        return jax.lax.map(lambda of_one: change(*of_one), (keys, images))
    return jax.vmap(change)(keys, images)


def in_turn() -> bool:
    """Whether one picture comes after the other: on a single CPU; other devices want them all.

    Of a choice a CPU then computes only what was chosen, and it ends one stage of a policy before
    the next begins; fused with it, each pixel would be computed several times. Of a batch that is
    split over several devices, a loop would first gather all pictures on each.
    """
    return jax.default_backend() == "cpu" and jax.device_count() == 1
