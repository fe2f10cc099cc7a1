"""Make the ViT's golden with Hugging Face's ViTModel in torch, in double precision.

python tests/goldens/make_vit_golden.py

Written with transformers 5.24.0 and torch 2.13.0. Weights and pictures come from `recipe.py`, in
fracjax's layout; modules are named as torch names them ("layers.0.attention.q_proj").

  hf_vit.npz   parameters of ViT-Ti and ViT-S at 224; of each network below, the features (the class
               token after the last norm) and, for every parameter, the norm and eight projections
               of the gradient of their weighted sum
"""

from pathlib import Path

import numpy as np
import recipe
import torch  # pyright: ignore[reportMissingImports]
from transformers import ViTConfig, ViTModel  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).parent
BATCH = 2
NETWORKS = {  # name: width, heads, blocks, image side
    "small": (24, 3, 2, 32),
    "ti16": (192, 3, 12, 64),
}


def recipe_name(parameter):
    """Name in the recipe of a parameter of torch's."""
    module, _, kind = parameter.rpartition(".")
    if kind not in ("weight", "bias"):
        return parameter  # the class token, the positions
    kinds = ("gamma", "beta") if "norm" in module else ("kernel", "bias")
    return f"{module}/{kinds[kind == 'bias']}"


def to_ours(array):
    """torch's layout → fracjax's: (out, in) → (in, out), a convolution → rows of pixels."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
    return array.T if array.ndim == 2 else array


def to_torch(array, shape):
    """Inverse of `to_ours`."""
    if len(shape) == 4:
        return array.reshape(*shape[2:], shape[1], shape[0]).transpose(3, 2, 0, 1)
    return array.T if len(shape) == 2 else array


def draw(name, shape):
    """A parameter in fracjax's layout."""
    return recipe.weight(name, shape) if "/" in name else recipe.uniform(name, shape, -1, 1)


def sketch(name, gradient):
    """Norm of a gradient and its eight projections on signs from the recipe."""
    signs = [recipe.uniform(f"{name} {i}", gradient.shape, -1, 1) for i in range(8)]
    return [np.linalg.norm(gradient), *((np.where(s < 0, -1, 1) * gradient).sum() for s in signs)]


def build(width, heads, blocks, side):
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        image_size=side,
        patch_size=16,
        qkv_bias=True,
        attn_implementation="sdpa",  # the eager one takes its softmax in single precision
    )
    return ViTModel(config, add_pooling_layer=False).eval()


def count(width, heads):
    with torch.device("meta"):
        return sum(p.numel() for p in build(width, heads, 12, 224).parameters())


def run(width, heads, blocks, side):
    model = build(width, heads, blocks, side).double()
    parameters = dict(model.named_parameters())
    for parameter, value in parameters.items():
        shape = to_ours(np.empty(value.shape)).shape
        drawn = to_torch(draw(recipe_name(parameter), shape), value.shape)
        value.data.copy_(torch.from_numpy(np.ascontiguousarray(drawn)))
    x = recipe.picture("picture", (BATCH, side, side, 3)).transpose(0, 3, 1, 2)
    features = model(torch.from_numpy(x.copy()).double()).last_hidden_state[:, 0]
    weights = recipe.uniform("weights", tuple(features.shape), -1, 1)
    (features * torch.from_numpy(weights)).sum().backward()
    gradients = {
        name: sketch(name, to_ours(value.grad.numpy()))
        for parameter, value in parameters.items()
        for name in [recipe_name(parameter)]
    }
    return {
        "features": features.detach().numpy(),
        "names": np.array(list(gradients)),
        "gradients": np.array(list(gradients.values())),
    }


if __name__ == "__main__":
    arrays = {"counts": np.array([count(192, 3), count(384, 6)])} | {
        f"{name}/{key}": array
        for name, sizes in NETWORKS.items()
        for key, array in run(*sizes).items()
    }
    np.savez_compressed(HERE / "hf_vit.npz", **arrays)  # pyright: ignore[reportArgumentType]
