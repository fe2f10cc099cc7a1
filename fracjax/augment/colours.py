"""The thirteen colour transformations of section 7.2 by name, and one of them for each picture."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key

from fracjax.augment import clahe, colormaps, filters, histogram, hue, tone
from fracjax.config import Colour

_Change = Callable[[Array, Array, float], Array]  # (key, image, strength) -> image
_Branch = Callable[[Array, Array], Array]

TRANSFORMATIONS: dict[Colour, _Change] = {
    "gamma": tone.gamma,
    "blur": filters.blur,
    "equalise": histogram.equalise,
    "stretch": histogram.stretch,
    "clahe": clahe.clahe,
    "jet": colormaps.jet,
    "hot": colormaps.hot,
    "bone": colormaps.bone,
    "viridis": colormaps.viridis,
    "hue": hue.hue,
    "sharpen": filters.sharpen,
    "negative": tone.negative,
    "sobel": filters.sobel,
}
MAPS: frozenset[Colour] = frozenset({"jet", "hot", "bone", "viridis"})
"""Those that make colour of grey."""


def channels(colours: tuple[Colour, ...], channels: int) -> int:
    """Channels of a picture after one of `colours`: 3 if one of them makes colour."""
    return 3 if MAPS & set(colours) else channels


def random_colour_op(
    key: Key[Array, ""], image: Float[Array, "h w c"], colours: tuple[Colour, ...]
) -> Float[Array, "h w c2"]:
    """Change a picture by one of `colours` at full strength or, with the same chance, by none."""
    wanted = channels(colours, image.shape[-1])
    draw, inner = jax.random.split(key)

    def in_wanted_channels(change: _Change) -> _Branch:
        def branch(key: Key[Array, ""], image: Float[Array, "h w c"]) -> Float[Array, "h w c2"]:
            out = change(key, image, 1.0)
            return jnp.broadcast_to(out, (*out.shape[:2], wanted))

        return branch

    versions = [_itself, *(TRANSFORMATIONS[name] for name in colours)]
    which = draw_version(draw, colours)
    return jax.lax.switch(which, [in_wanted_channels(v) for v in versions], inner, image)


def draw_version(key: Key[Array, ""], colours: tuple[Colour, ...]) -> Int32[Array, ""]:
    """Draw the version of a picture: 0 for the picture itself, i + 1 for `colours[i]`."""
    return jax.random.randint(key, (), 0, len(colours) + 1)


def _itself(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float
) -> Float[Array, "h w c"]:
    del key, strength
    return image
