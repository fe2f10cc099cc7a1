"""Changes of values: functions of a key and an image in [0, 255].

The thirteen colour operations of section 7.2, then exposure, and brightness, contrast and
noise as by Keras's layers of these names. Equalisation, stretching and CLAHE are in `histogram`.
Convolutions continue the image at its border by its mirror image without a second copy of the last
row (OpenCV's BORDER_REFLECT_101, SciPy's "mirror"), and treat each channel by itself.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Key, Scalar

from fracjax.augment import histogram
from fracjax.augment.histogram import Image
from fracjax.config import Colour

SIGMA = 2.0  # of the strongest blur, in pixels
RADIUS = 8  # of its kernel, in pixels: four standard deviations, as by OpenCV and SciPy

_Operation = Callable[[Array, Array], Array]  # (key, image) -> image


def gamma(key: Key[Array, ""], image: Image) -> Image:
    """255 (x / 255)^g, with g between 1/2 and 2."""
    return _power(image, jnp.exp2(jax.random.uniform(key, minval=-1.0)))


def exposure(key: Key[Array, ""], image: Image, strength: float | Scalar) -> Image:
    """255 (x / 255)^g, with the logarithm of g drawn up to `strength` either way.

    So it darkens as often as it brightens; black and white stay what they are.
    """
    return _power(image, jnp.exp(strength * jax.random.uniform(key, minval=-1.0)))


def _power(image: Image, exponent: Scalar) -> Image:
    # A factor on x, so that an exponent of 1 is exact; black stays black, whatever its factor.
    fraction = jnp.maximum(image / 255.0, 1e-6)
    return jnp.clip(image * fraction ** (exponent - 1.0), 0.0, 255.0)


def negative(key: Key[Array, ""], image: Image) -> Image:
    """255 - x."""
    return 255.0 - image


def blur(key: Key[Array, ""], image: Image) -> Image:
    """Blur with a Gaussian whose standard deviation is drawn up to `SIGMA`."""
    sigma = SIGMA * jax.random.uniform(key)
    distance = jnp.arange(-RADIUS, RADIUS + 1, dtype=jnp.float32)
    # The floor keeps 0 / 0 out; all weights but the middle one are zero long before it.
    weights = jnp.exp(-(distance**2) / (2.0 * jnp.maximum(sigma**2, 1e-6)))
    taps = list(weights / jnp.sum(weights))
    return jnp.clip(_convolve(1, _convolve(0, image, taps), taps), 0.0, 255.0)


def sharpen(key: Key[Array, ""], image: Image) -> Image:
    """Add to each pixel what it differs by from its four neighbours."""
    neighbours = _convolve(0, image, [1.0, 0.0, 1.0]) + _convolve(1, image, [1.0, 0.0, 1.0])
    return jnp.clip(5.0 * image - neighbours, 0.0, 255.0)


def sobel(key: Key[Array, ""], image: Image) -> Image:
    """Length of the gradient by Sobel's 3x3 kernels, up to 255."""
    smooth, differ = [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]
    across = _convolve(1, _convolve(0, image, smooth), differ)
    down = _convolve(0, _convolve(1, image, smooth), differ)
    return jnp.clip(jnp.sqrt(across**2 + down**2), 0.0, 255.0)


def _convolve(axis: int, image: Image, taps: list[float] | list[Array]) -> Image:
    """Weighted sum of the neighbours along one axis, the first tap for the one before all others.

    Sums of shifted images fuse into one pass; a convolution with a kernel of its own for each
    image of a batch does not, on a CPU.
    """
    radius = len(taps) // 2
    margins = [(0, 0)] * 3
    margins[axis] = (radius, radius)
    wide = jnp.pad(image, margins, mode="reflect")
    size, total = image.shape[axis], jnp.zeros_like(image)
    for start, tap in enumerate(taps):
        total += tap * jax.lax.slice_in_dim(wide, start, start + size, axis=axis)
    return total


def hue(key: Key[Array, ""], image: Image) -> Image:
    """Turn the hue by up to 180 degrees either way, in HSV; grey stays grey.

    Source: Smith 1978, "Color gamut transform pairs"; HSV keeps the largest and the smallest of
    the three channels, and the hue says how they lie between them.
    """
    if image.shape[-1] == 1:
        return image
    turn = 3.0 * jax.random.uniform(key, minval=-1.0)  # in sextants
    red, green, blue = (image[..., i] for i in range(3))
    value = jnp.max(image, axis=-1)
    chroma = value - jnp.min(image, axis=-1)
    divisor = jnp.where(chroma > 0, chroma, 1.0)
    sextant = jnp.where(
        value == red,
        (green - blue) / divisor,
        jnp.where(value == green, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    turned = []
    for first in (5.0, 3.0, 1.0):  # where on the circle red, green and blue are smallest
        position = jnp.mod(first + sextant + turn, 6.0)
        turned.append(value - chroma * jnp.clip(jnp.minimum(position, 4.0 - position), 0.0, 1.0))
    return jnp.clip(jnp.stack(turned, axis=-1), 0.0, 255.0)


@functools.cache
def colormap_table(name: str) -> Float32[np.ndarray, "256 3"]:
    """Red, green and blue in [0, 255] of each grey value, from matplotlib's map of that name."""
    # Imported late: a run without a colour map need not wait for it.
    import matplotlib as mpl

    return (255.0 * mpl.colormaps[name](np.arange(256))[:, :3]).astype(np.float32)


def apply_colormap(images: Float[Array, "*b h w c"], name: str) -> Float[Array, "*b h w c2"]:
    """Map the luminance of values in [0, 255], rounded; `none` leaves them as they are."""
    if name == "none":
        return images
    table = jnp.asarray(colormap_table(name))
    return table.at[histogram.luminance(images)].get(mode="promise_in_bounds")


COLORMAPS: tuple[Colour, ...] = ("jet", "hot", "bone", "viridis")
"""Operations that make colour of grey."""
OPERATIONS: dict[Colour, _Operation] = {
    "gamma": gamma,
    "blur": blur,
    "equalise": histogram.equalise,
    "stretch": histogram.stretch,
    "clahe": histogram.clahe,
    **{name: lambda _, image, name=name: apply_colormap(image, name) for name in COLORMAPS},
    "hue": hue,
    "sharpen": sharpen,
    "negative": negative,
    "sobel": sobel,
}
"""The thirteen by name, as in `config.Colour`."""


def random_operation(
    key: Key[Array, ""], image: Image, names: tuple[Colour, ...]
) -> Float[Array, "h w c2"]:
    """Change an image by one of these operations or, with the same chance, by none.

    It has three channels if one of the operations makes colour.
    """
    channels = 3 if set(COLORMAPS) & set(names) else image.shape[-1]
    draw, inner = jax.random.split(key)

    def of_all_channels(change: _Operation) -> _Operation:
        return lambda key, image: jnp.broadcast_to(change(key, image), (*image.shape[:2], channels))

    changes = (lambda _, image: image, *(OPERATIONS[name] for name in names))
    branches = [of_all_channels(change) for change in changes]
    return jax.lax.switch(draw_operation(draw, names), branches, inner, image)


def draw_operation(key: Key[Array, ""], names: tuple[Colour, ...]) -> Int32[Array, ""]:
    """Draw what an image gets: 0 for the image itself, i + 1 for `names[i]`."""
    return jax.random.randint(key, (), 0, len(names) + 1)


def brightness(key: Key[Array, ""], image: Image, strength: float | Scalar) -> Image:
    """Add up to `strength` of the full range, either way."""
    shift = 255.0 * strength * jax.random.uniform(key, minval=-1.0)
    return jnp.clip(image + shift, 0.0, 255.0)


def contrast(key: Key[Array, ""], image: Image, strength: float | Scalar) -> Image:
    """Stretch the distance from each channel's mean by a factor in [1 - strength, 1 + strength]."""
    change = strength * jax.random.uniform(key, minval=-1.0)
    mean = jnp.mean(image, axis=(0, 1), keepdims=True)
    return jnp.clip(image + change * (image - mean), 0.0, 255.0)


def noise(key: Key[Array, ""], image: Image, strength: float | Scalar) -> Image:
    """Add Gaussian noise with a standard deviation of `strength` of the full range."""
    # Drawn flat: XLA's CPU compiler takes long over random arrays of many axes.
    drawn = jax.random.normal(key, (image.size,)).reshape(image.shape)
    return jnp.clip(image + 255.0 * strength * drawn, 0.0, 255.0)
