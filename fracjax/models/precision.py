"""What the products of a network are computed in, and bfloat16 where it is safe.

Left alone, JAX multiplies float32 on a GPU as TensorFloat-32, with 11 significant bits instead of
24, and on a TPU as bfloat16, with 8. Here float32 means float32 on every device. `tensorfloat32`
is TensorFloat-32 on a GPU, three passes of bfloat16 on a TPU, and float32 on a CPU.

Accelerators multiply matrices of bfloat16 many times as fast, and add up the products in float32
all the same. Its range is that of float32: small gradients do not vanish as in float16, and the
loss needs no scaling. What 8 bits are too few for stays in float32:

  images          of 256 grey levels, which 8 bits only just hold, and the first layer, which is a
                  small part of the work
  parameters      they are cast where they are used; float32 masters take steps of a millionth
  BatchNorm,      mean and variance of thousands of values, and the difference from the mean; what
  LayerNorm       comes out is of size 1 and is rounded to bfloat16
  biases          their gradient is a sum over all images and places
  mean poolings   sums; a maximum is exact in any precision
  ViT's tokens    the sum of all blocks' outputs, and the softmax of attention
  head, loss,     a logit in bfloat16 would move a probability by more than 0.01
  the map's cells

What remains is the rounding of kernels and maps in every layer. In a detector that is sure of
itself (logits of 10) it moves a probability near the threshold by a hundredth or two, more in one
whose features are ImageNet's. To predict in another precision than that of training is refused
where it moves a probability by more than 0.01 (`evaluation/precision_shift.py`).

Source: Kalamkar et al. 2019, arXiv:1905.12322, for training in bfloat16 without loss scaling;
Micikevicius et al. 2018, arXiv:1710.03740, for the master weights.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fracjax import ops
from fracjax.config import Precision
from fracjax.models.classifier import Classifier

_PRODUCTS: dict[Precision, str] = {
    "float32": "highest",
    "tensorfloat32": "high",
    "bfloat16": "highest",  # of what is left in float32
}
"""How JAX names, in an operation, what float32 is multiplied as."""


def effective_precision(precision: Precision, on: str) -> Precision:
    """What a precision comes to on a platform, as JAX names it: a CPU has no TensorFloat-32."""
    return "float32" if precision == "tensorfloat32" and on == "cpu" else precision


def set_compute_dtype(model: Classifier, precision: Precision) -> Classifier:
    """Have a new model's layers compute in `precision`, by parameters that stay float32."""
    model.precision = precision
    for _, layer in nnx.iter_modules(model):
        if isinstance(layer, nnx.Conv | nnx.Linear | ops.DepthwiseConv):
            layer.precision = _PRODUCTS[precision]
    if precision != "bfloat16":
        return model
    for path, layer in _but_logits(model):
        if isinstance(layer, ops.DepthwiseConv):
            layer.dtype = jnp.bfloat16
        elif "/".join(map(str, path)) == model.backbone.FIRST:
            continue
        elif isinstance(layer, nnx.Conv | nnx.Linear):
            layer.dtype, layer.promote_dtype = jnp.bfloat16, _all_but_bias
        elif isinstance(layer, nnx.BatchNorm | nnx.LayerNorm):
            layer.dtype, layer.promote_dtype = jnp.bfloat16, _none
    return model


def _but_logits(model: Classifier) -> Iterator[tuple[Any, Any]]:
    """Layers of the backbone and of the pyramid, by path there, but for those that make logits."""
    yield from nnx.iter_modules(model.backbone)
    if model.pyramid is not None:
        for path, layer in nnx.iter_modules(model.pyramid):
            if path != ("cell",):
                yield path, layer


# Flax casts all that a layer computes with by its `promote_dtype`, and what a norm returns by its
# `dtype`.


def _all_but_bias(arrays: Any, /, *, dtype: Any = None, **_: Any) -> Any:
    """The gradient of a bias is a sum over all images and places."""
    inputs, kernel, bias = arrays
    return jnp.asarray(inputs, dtype), jnp.asarray(kernel, dtype), bias


def _none(arrays: Any, /, **_: Any) -> Any:
    """Flax's own cast would round the running mean before it is subtracted."""
    return tuple(None if array is None else jnp.asarray(array, jnp.float32) for array in arrays)
