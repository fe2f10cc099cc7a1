"""What a backbone expects of its images; published by each backbone, obeyed by the input side."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from fracjax.errors import InputError


@dataclass(frozen=True)
class ImageSpec:
    """Size and value range of a backbone's input."""

    side: int  # the side, in pixels, at which the weights were trained
    channels: int  # colour channels; a grey radiograph is repeated over them
    low: float  # the value that black must have
    high: float  # and white
    smallest: int  # the smallest side, in pixels, that the strides leave a map of

    def normalise(
        self, image: UInt8[Array, "*b h w c"] | Float[Array, "*b h w c"]
    ) -> Float[Array, "*b h w d"]:
        """Map values in [0, 255] to `channels` planes in [low, high]; grey ones are equal."""
        scaled = image.astype(jnp.float32) * ((self.high - self.low) / 255.0) + self.low
        return jnp.broadcast_to(scaled, (*image.shape[:-1], self.channels))

    def check(self, images: Array | np.ndarray) -> None:
        """Refuse images, (b, h, w, c), that are plainly not what the model takes: InputError.

        A model that is fed another range than the one it was trained on runs, and looks like a weak
        one. Besides values outside, batches are refused that lie inside but have the marks of
        another range: no value above 1 where white is 255, none below 0 where black is -1. The
        values must be known: not under `jax.jit`.
        """
        problems = []
        if images.ndim != 4 or images.shape[-1] != self.channels:
            problems.append(f"their shape is {images.shape}, not (b, h, w, {self.channels})")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            problems.append(f"they are {images.dtype}, not float")
        elif images.size:
            problems += self._wrong_values(float(images.min()), float(images.max()))
        if problems:
            raise InputError(
                f"these images are not what the model takes: {'; '.join(problems)}. Write "
                "image.normalise(images), with uint8 images of shape (b, h, w, 1) and the `image` "
                "of the model"
            )

    def _wrong_values(self, found_low: float, found_high: float) -> list[str]:
        found = (
            f"their values go from {found_low:g} to {found_high:g}, and should be in "
            f"[{self.low:g}, {self.high:g}]"
        )
        if not np.isfinite([found_low, found_high]).all():  # a NaN shows in both, an inf in one
            return [f"some of their values are not finite: {found}"]
        tolerance = 1e-3 * (self.high - self.low)
        if found_low < self.low - tolerance or found_high > self.high + tolerance:
            return [found]
        if self.high > 1.0 and 0.0 < found_high <= 1.0:
            return [f"{found}: this looks like [0, 1]"]
        if self.low < 0.0 <= found_low <= 0.05 * self.high and found_high > 0.0:
            return [f"{found}: without any below 0, this looks like [0, {self.high:g}]"]
        return []
