import runpy
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.backbone import leaf_name
from fracjax.models.build import check
from fracjax.models.vit import ViT
from tests.models.abstract import abstract
from tests.paths import GOLDENS

recipe = runpy.run_path(str(GOLDENS / "recipe.py"))

SMALL = partial(ViT, width=24, heads=3, depth=2, image_size=32)
TI16 = partial(ViT, width=192, heads=3, image_size=64)
NETWORKS = {"small": (SMALL, 32), "ti16": (TI16, 64)}

# torch's name of each of our modules; those within block i are under "layers.i."
MODULES = {
    "embed/class_token": "embeddings.cls_token",
    "embed/position": "embeddings.position_embeddings",
    "embed/patch": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
BLOCK = {
    "norm1": "layernorm_before",
    "attention/query": "attention.q_proj",
    "attention/key": "attention.k_proj",
    "attention/value": "attention.v_proj",
    "attention/out": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp/linear1": "mlp.fc1",
    "mlp/linear2": "mlp.fc2",
}
MODULES |= {f"block{i}/{ours}": f"layers.{i}.{hf}" for i in range(12) for ours, hf in BLOCK.items()}


def recipe_name(path) -> str:
    name = leaf_name(path)
    if name in MODULES:
        return MODULES[name]
    module, _, leaf = name.rpartition("/")
    if "norm" in module:
        leaf = {"scale": "gamma", "bias": "beta"}[leaf]
    return f"{MODULES[module]}/{leaf}"


def backbone(name: str, side: int) -> ViT:
    net = abstract(name, side)
    assert isinstance(net.backbone, ViT)
    return net.backbone


def network(make, seed: str = ""):
    """Graph and parameters, filled by the recipe."""
    graph, state = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))

    def fill(path, leaf):
        name = seed + recipe_name(path)
        if "/" in name:
            return recipe["weight"](name, leaf.shape)
        return recipe["uniform"](name, leaf.shape, -1, 1)

    return graph, jax.tree.map_with_path(fill, nnx.to_pure_dict(state))


@pytest.fixture(scope="module")
def small():
    return network(SMALL)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "hf_vit.npz") as file:
        return dict(file)


def sketch(name: str, gradient: np.ndarray) -> list:
    """Norm and eight projections on signs, as `make_vit_golden.py` has them."""
    signs = [recipe["uniform"](f"{name} {i}", gradient.shape, -1, 1) for i in range(8)]
    return [np.linalg.norm(gradient), *((np.where(s < 0, -1, 1) * gradient).sum() for s in signs)]


@pytest.mark.parametrize("which", ["small", pytest.param("ti16", marks=pytest.mark.slow)])
def test_features_and_every_gradient_equal_hugging_face(which, golden):
    make, side = NETWORKS[which]
    graph, params = network(make)
    x = recipe["picture"]("picture", (2, side, side, 3))
    theirs = golden[f"{which}/features"]
    weights = recipe["uniform"]("weights", theirs.shape, -1, 1)

    @jax.jit
    def run(params, x):
        def scalar(params):
            features = nnx.merge(graph, params)(x)
            return (features * weights).sum(), features

        return jax.grad(scalar, has_aux=True)(params)

    gradients, features = run(params, x)
    assert np.abs(features - theirs).max() <= 1e-5 * np.abs(theirs).max()

    sketches = dict(zip(golden[f"{which}/names"], golden[f"{which}/gradients"], strict=True))
    ours = {
        recipe_name(p): np.asarray(g, np.float64) for p, g in jax.tree.leaves_with_path(gradients)
    }
    assert ours.keys() == sketches.keys()
    for name, gradient in ours.items():
        scale = sketches[name][0]
        if name.endswith("k_proj/bias"):
            # It adds the same to all scores of a query, which a softmax does not see: no gradient.
            scale = sketches[name.replace("bias", "kernel")][0]
            assert sketches[name][0] < 1e-12 * scale
        assert_allclose(
            sketch(name, gradient), sketches[name], rtol=0, atol=1e-4 * scale, err_msg=name
        )


def test_parameters_are_those_of_the_papers_and_of_hugging_face(golden):
    nets = [backbone("vit_ti16", 224), backbone("vit_s16", 224)]
    counts = [sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net))) for net in nets]
    assert counts == [5_524_416, 21_665_664]
    assert_array_equal(golden["counts"], counts)
    assert [net.features for net in nets] == [192, 384]
    assert [net.blocks("block0")[0].attention.heads for net in nets] == [3, 6]
    assert nets[0].embed.position.shape == (1, 1 + 14 * 14, 192)
    blocks = [f"block{i}" for i in range(12)]
    assert list(nets[0].BLOCKS) == ["embed", *blocks, "norm"]


def test_a_prefix_and_the_rest_make_the_whole(small):
    x = recipe["picture"]("picture", (2, 32, 32, 3))

    @jax.jit
    def run(params, x):
        net = nnx.merge(small[0], params)
        parts = [net(net(x, stop=place), start=place) for place in ("block0", "block1", "norm")]
        return net(x), parts, net(x, stop="norm")

    whole, parts, tokens = run(small[1], x)
    for part in parts:
        assert_allclose(part, whole, rtol=1e-6, atol=1e-6)
    assert whole.shape == (2, 24)
    assert tokens.shape == (2, 5, 24)


def test_tokens_are_patches_by_rows_after_the_class_token(small):
    graph, params = small
    embed = nnx.merge(graph, params).embed
    x = np.zeros((1, 32, 32, 3), np.float32)
    x[0, 16 + 3, 5, 1] = 2.0  # in the third patch: row 3, column 5, green
    patch = params["embed"]["patch"]
    expected = params["embed"]["position"][0].copy()
    expected[0] += params["embed"]["class_token"][0, 0]
    expected[1:] += patch["bias"][None]
    expected[3] += 2.0 * patch["kernel"][(3 * 16 + 5) * 3 + 1]
    assert_allclose(embed(jnp.asarray(x))[0], expected, rtol=1e-6, atol=1e-6)


def test_patches_that_move_with_their_positions_leave_the_features_as_they_were(small):
    graph, params = small
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    rows_exchanged = np.concatenate([x[:, 16:], x[:, :16]], axis=1)
    position = params["embed"]["position"][:, [0, 3, 4, 1, 2]]
    along = {**params, "embed": {**params["embed"], "position": position}}

    run = jax.jit(lambda params, x: nnx.merge(graph, params)(x))
    features = run(params, x)
    assert_allclose(run(along, rows_exchanged), features, rtol=1e-5, atol=1e-5)
    assert np.abs(run(params, rows_exchanged) - features).max() > 0.01  # alone, they do not


def test_members_under_vmap_equal_each_by_itself(small):
    graph, params = small
    members = [params, network(SMALL, seed="other ")[1]]
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 32, 32, 3)).astype(np.float32)

    run = lambda params, x: nnx.merge(graph, params)(x)  # noqa: E731
    together = jax.jit(jax.vmap(run))(jax.tree.map(lambda *leaves: np.stack(leaves), *members), x)
    for i, member in enumerate(members):
        assert_allclose(together[i], jax.jit(run)(member, x[i]), rtol=1e-5, atol=1e-5)


def test_first_parameters_are_drawn_as_usual():
    state = jax.jit(lambda: nnx.to_pure_dict(nnx.state(SMALL(image_size=256, rngs=nnx.Rngs(0)))))()
    position = state["embed"]["position"]
    assert 0.036 < np.abs(position).max() <= 0.04
    assert_allclose(position.std(), 0.02 * 0.8796, rtol=0.03)  # a normal cut at two deviations
    assert (state["embed"]["class_token"] != position[:, :1]).any()
    for linear in (state["embed"]["patch"], *state["block1"]["mlp"].values()):
        bound = np.sqrt(6 / sum(linear["kernel"].shape))
        assert 0.98 * bound < np.abs(linear["kernel"]).max() <= bound
        assert_array_equal(linear["bias"], jnp.zeros_like(linear["bias"]))
    assert_array_equal(state["norm"]["scale"], np.ones(24))


def test_norm_keeps_its_digits_where_a_tokens_mean_is_large():
    x = 300 + np.random.default_rng(0).uniform(-1, 1, (1, 3, 24))
    expected = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    norm = SMALL(rngs=nnx.Rngs(0)).blocks("block0")[0].norm1
    assert_allclose(norm(jnp.asarray(x, jnp.float32)), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("side", "nearest"), [(17, "16 or 32"), (223, "208 or 224")])
def test_a_side_that_would_cut_a_patch_is_refused_with_the_nearest_ones(side, nearest):
    with pytest.raises(InputError) as error:
        check(Model(name="vit_s16"), outputs=3, image_size=side)
    expected = f"data.image_size is {side}, but vit_s16 cuts images into patches of 16: write "
    assert str(error.value) == f"impossible model: {expected}{nearest}"


def test_one_patch_is_the_smallest_picture():
    check(Model(name="vit_ti16"), outputs=3, image_size=16)
    smallest = nnx.eval_shape(lambda: SMALL(image_size=16, rngs=nnx.Rngs(0)))
    assert smallest.embed.position.shape == (1, 2, 24)
    with pytest.raises(InputError) as error:
        check(Model(name="vit_ti16"), outputs=3, image_size=15)
    assert str(error.value).endswith("data.image_size is 15, but vit_ti16 needs 16 pixels or more")
