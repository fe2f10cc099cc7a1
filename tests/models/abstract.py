"""The large networks without their arrays, each made once: to trace all layers takes seconds."""

import functools
from typing import Any

from flax import nnx

from fracjax.config import Model
from fracjax.models.build import build
from fracjax.models.classifier import Classifier

OUTPUTS = 3


@functools.cache
def _made(name: Any, side: int) -> tuple[nnx.GraphDef, nnx.State]:
    model = Model(name=name)
    net = nnx.eval_shape(lambda: build(model, outputs=OUTPUTS, image_size=side, rngs=nnx.Rngs(0)))
    return nnx.split(net)


def abstract(name: str, side: int = 224) -> Classifier:
    """A network of the caller's own, which may change it; `side` is a matter of ViT alone."""
    return nnx.merge(*_made(name, side if name.startswith("vit") else 224))
