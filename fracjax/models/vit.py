"""Vision Transformer with patches of 16×16 (Dosovitskiy et al. 2021, arXiv:2010.11929).

ViT-Ti and ViT-S have the widths of Touvron et al. 2021 (arXiv:2012.12877). Numbers that the paper
leaves to its code are that code's: LayerNorm epsilon 1e-6, exact GELU, biases everywhere.
5,524,416 and 21,665,664 parameters at 224×224, of which the position embeddings grow with the
image's area. There is no dropout inside: the paper fine-tunes without (Table 4), and the one
before the head is the classifier's. Tokens are the class token, then the patches by rows.
"""

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.models.backbone import Backbone, ImageSpec, MapLevel

PATCH = 16  # pixels
IMAGE = ImageSpec(side=224, channels=3, low=-1.0, high=1.0, smallest=PATCH)

_linear = partial(nnx.Linear, kernel_init=ops.glorot_uniform)
# The fast variance, E[x²] - E[x]², loses digits where a token's mean is large.
_NORM = {"epsilon": 1e-6, "use_fast_variance": False}


class Embed(nnx.Module):
    """Equation 1: patches through one linear layer, class token before them, positions added."""

    def __init__(self, features: int, *, image_size: int, rngs: nnx.Rngs):
        tokens = 1 + (image_size // PATCH) ** 2
        # A linear layer over cut-out patches, not a convolution: the same numbers, but with a
        # kernel per ensemble member XLA would make the convolution a slow, grouped one.
        self.patch = _linear(PATCH * PATCH * IMAGE.channels, features, rngs=rngs)
        self.class_token = nnx.Param(ops.normal_002(rngs.params(), (1, 1, features)))
        self.position = nnx.Param(ops.normal_002(rngs.params(), (1, tokens, features)))

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b n f"]:
        b, h, w, c = x.shape
        x = x.reshape(b, h // PATCH, PATCH, w // PATCH, PATCH, c).swapaxes(2, 3)
        x = self.patch(x.reshape(b, -1, PATCH * PATCH * c))
        first = jnp.broadcast_to(self.class_token[...], (b, 1, x.shape[-1]))
        return jnp.concatenate([first, x], axis=1) + self.position[...]


class Attention(nnx.Module):
    """Equations 5 to 8: multi-head self-attention."""

    def __init__(self, features: int, *, heads: int, rngs: nnx.Rngs):
        self.heads = heads
        self.query = _linear(features, features, rngs=rngs)
        self.key = _linear(features, features, rngs=rngs)
        self.value = _linear(features, features, rngs=rngs)
        self.out = _linear(features, features, rngs=rngs)

    def __call__(self, x: Float[Array, "b n f"]) -> Float[Array, "b n f"]:
        by_head = (*x.shape[:2], self.heads, -1)
        # In the precision of `x`: with a bias they come out as float32.
        parts = (part(x).astype(x.dtype) for part in (self.query, self.key, self.value))
        q, k, v = (part.reshape(by_head) for part in parts)
        with jax.default_matmul_precision(self.query.precision):
            mixed = jax.nn.dot_product_attention(q, k, v)
        return self.out(mixed.reshape(x.shape))


class MLP(nnx.Module):
    """Two layers with a GELU between them, four times as wide inside."""

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        self.linear1 = _linear(features, 4 * features, rngs=rngs)
        self.linear2 = _linear(4 * features, features, rngs=rngs)

    def __call__(self, x: Float[Array, "b n f"]) -> Float[Array, "b n f"]:
        return self.linear2(nnx.gelu(self.linear1(x), approximate=False))


class Block(nnx.Module):
    """Equations 2 and 3: attention, then the MLP; each normalised before and added to its input."""

    def __init__(self, features: int, *, heads: int, rngs: nnx.Rngs):
        self.norm1 = nnx.LayerNorm(features, **_NORM, rngs=rngs)
        self.attention = Attention(features, heads=heads, rngs=rngs)
        self.norm2 = nnx.LayerNorm(features, **_NORM, rngs=rngs)
        self.mlp = MLP(features, rngs=rngs)

    def __call__(self, x: Float[Array, "b n f"], **_: Any) -> Float[Array, "b n f"]:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ClassTokenNorm(nnx.LayerNorm):
    """Equation 4: the class token, normalised."""

    def __call__(self, x: Float[Array, "b n f"], **_: Any) -> Float[Array, "b f"]:
        return super().__call__(x[:, 0])


class ViT(Backbone):
    """Figure 1 without its head: images → the class token after `depth` equal blocks.

    A width of 192 with 3 heads makes ViT-Ti, 384 with 6 ViT-S; fewer blocks are for tests.
    """

    IMAGE: ClassVar[ImageSpec] = IMAGE
    FIRST: ClassVar[str] = "embed/patch"

    def __init__(self, *, width: int, heads: int, image_size: int, depth: int = 12, rngs: nnx.Rngs):
        self.features = width
        names = [f"block{i}" for i in range(depth)]
        self.BLOCKS = ("embed", *names, "norm")  # pyright: ignore[reportAttributeAccessIssue]
        # After the last attention only the class token counts, and the patches have no gradient.
        self.maps = (MapLevel("norm", PATCH, width),)
        self.MAP_BEFORE = names[-1]  # pyright: ignore[reportAttributeAccessIssue]
        self.embed = Embed(width, image_size=image_size, rngs=rngs)
        for name in names:
            setattr(self, name, Block(width, heads=heads, rngs=rngs))
        self.norm = ClassTokenNorm(width, **_NORM, rngs=rngs)
