"""Gaussian blur, sharpening and Sobel edges, of each channel by itself.

At the border the picture is continued by its mirror image without a second copy of the last row
(OpenCV's BORDER_REFLECT_101, SciPy's "mirror").
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from fracjax.augment.blend import blend

SIGMA = 2.0  # of the strongest blur, in pixels
RADIUS = 8  # of its kernel, in pixels: four standard deviations, as by OpenCV and SciPy


def blur(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Blur with a Gaussian whose standard deviation is drawn up to `SIGMA` times `strength`."""
    sigma = SIGMA * strength * jax.random.uniform(key)
    return jnp.clip(gaussian(image, sigma), 0.0, 255.0)


def gaussian(image: Float[Array, "h w c"], sigma: Float[Array, ""]) -> Float[Array, "h w c"]:
    """Blur with a Gaussian of `sigma` pixels, cut off at `RADIUS`; 0 is the identity."""
    distance = jnp.arange(-RADIUS, RADIUS + 1, dtype=jnp.float32)
    # The floor keeps 0 / 0 out; all weights but the middle one are zero long before it.
    weights = jnp.exp(-(distance**2) / (2.0 * jnp.maximum(sigma**2, 1e-6)))
    taps = list(weights / jnp.sum(weights))
    return _along(1, _along(0, image, taps), taps)


def sharpen(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Add to each pixel what it differs by from its four neighbours."""
    del key
    neighbours = _along(0, image, [1.0, 0.0, 1.0]) + _along(1, image, [1.0, 0.0, 1.0])
    return blend(image, jnp.clip(5.0 * image - neighbours, 0.0, 255.0), strength)


def sobel(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Length of the gradient by Sobel's 3x3 kernels, up to 255."""
    del key
    smooth, differ = [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]
    across = _along(1, _along(0, image, smooth), differ)
    down = _along(0, _along(1, image, smooth), differ)
    return blend(image, jnp.clip(jnp.sqrt(across**2 + down**2), 0.0, 255.0), strength)


def _along(
    axis: int, image: Float[Array, "h w c"], taps: list[float] | list[Array]
) -> Float[Array, "h w c"]:
    """Weighted sum of the neighbours along one axis, the first tap for the one before all others.

    Sums of shifted pictures fuse into one pass; a convolution with a kernel of its own for each
    picture of a batch does not, on a CPU.
    """
    radius = len(taps) // 2
    margins = [(0, 0)] * 3
    margins[axis] = (radius, radius)
    wide = jnp.pad(image, margins, mode="reflect")
    size = image.shape[axis]
    return sum(
        (
            tap * jax.lax.slice_in_dim(wide, start, start + size, axis=axis)
            for start, tap in enumerate(taps)
        ),
        start=jnp.zeros_like(image),
    )
