"""A user's own backbone, as docs/training.md has it: it trains, and what is wrong is listed."""

import dataclasses
import re
import sys

import jax
import numpy as np
import pytest
from rich.console import Console

from fracjax.config import Config, Data, Ensemble, Freeze, Model, Phase, rules
from fracjax.errors import InputError
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.models import build, own_backbone
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checks import check_config
from fracjax.training.loop import fit_members
from fracjax.training.model import summarise_phases
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "training.md").read_text()
(SOURCE,) = re.findall(r"```python\n(.*?class TinyNet.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The module of the page, perhaps with changes, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(name="nets", **changes):
        source = SOURCE
        for old, new in changes.values():
            assert old in source
            source = source.replace(old, new)
        (tmp_path / f"{name}.py").write_text(source)
        return f"{name}:TinyNet"

    yield write
    for name in [name for name in sys.modules if name.startswith("nets")]:
        del sys.modules[name]


def refusal(name: str, **fields) -> str:
    with pytest.raises(InputError) as error:
        build.check(Model(name=name, **fields), outputs=1, image_size=16)
    return str(error.value)


def test_it_trains_with_a_frozen_block_and_opens_again(nets, phantoms, tmp_path, capsys):
    config = Config(
        workdir=tmp_path / "run",
        data=Data(dir=phantoms, image_size=16, batch_size=8),
        model=Model(name=nets()),
        freeze=Freeze(batch_norm="above_cut"),
        phases=(Phase(epochs=1, learning_rate=1e-2, cut="top"),),
        ensemble=Ensemble(2),
    )
    (table,) = summarise_phases(config)
    assert [(row.block, row.state) for row in table[:3]] == [
        ("stem", "frozen"), ("top", "trained"), ("head", "trained")
    ]  # fmt: skip
    fit_members(config, Console(quiet=True))
    bundle = open_run(config.workdir, data_mesh())
    examples = open_dataset(config.data).part("validation", bundle.meta.form)
    assert np.ptp(bundle.predict(examples).fracture_score) > 0
    first, second = (network["params"]["backbone"] for network in bundle.networks)
    assert first["stem"]["conv"]["kernel"].shape == (3, 3, 3, 16)
    kernels = [np.asarray(one["top"]["conv"]["kernel"]) for one in (first, second)]
    assert not np.array_equal(kernels[0], kernels[1])
    sure = dataclasses.replace(config, freeze=Freeze(batch_norm="above_cut", cached_views=1))
    with pytest.raises(InputError, match="nothing is known of nets:TinyNet"):
        check_config(sure)
    assert jax.tree.leaves(first)[0].dtype == np.float32
    assert "has changed since" not in capsys.readouterr().err
    own_backbone.note_if_edited.cache_clear()  # as in another process
    nets(relu=("nnx.relu(", "nnx.gelu("))
    open_run(config.workdir, data_mesh())
    said = capsys.readouterr().err
    assert f"defines nets:TinyNet has changed since {config.workdir} was trained" in said


def test_what_is_no_backbone_is_refused_with_what_to_do(nets):
    assert "cannot be imported: No module named 'absent'" in refusal("absent:Net")
    assert "run from the folder that holds absent, or install it" in refusal("absent:Net")
    assert "'Absent'" in refusal(nets().replace("TinyNet", "Absent"))
    assert "no subclass of fracjax.models.backbone.Backbone" in refusal("nets:Block")
    with pytest.raises(InputError, match=r"not one of basic_cnn, .* nor module:Class"):
        rules.check(Config(model=Model(name="resnet")))


def test_every_problem_of_a_class_is_listed(nets):
    name = nets(
        "nets_a",
        image=("ImageSpec(side=224, channels=3, low=-1.0, high=1.0, smallest=4)", "None"),
        blocks=('("stem", "top")', "()"),
        init=("self, rngs: nnx.Rngs):", "self, rngs: nnx.Rngs, depth: int):"),
    )
    message = refusal(name)
    assert "IMAGE is no ImageSpec" in message
    assert "BLOCKS is (), not the names of its blocks" in message
    assert "its __init__ needs depth, and is given image_size, width" in message


def test_a_network_that_does_not_fit_itself_is_refused(nets):
    message = refusal(nets("nets_b", n=("self.features = 32", "self.features = 31")))
    assert message == (
        "model.name is nets_b:TinyNet: of two images it makes (2, 4, 4, 32), not (2, 31) or "
        "(2, h, w, 31)"
    )
    name = nets("nets_c", blocks=('"top")', '"end")'), first=('"stem/conv"', '"conv"'))
    assert "its block end is no module of it; FIRST is conv, and there is no such layer" in (
        refusal(name)
    )
    assert "does not run" in refusal(
        nets("nets_d", c=("Block(16, 32, rngs)", "Block(8, 32, rngs)"))
    )
    assert "model.width is 0.5, but only basic_cnn has one" in refusal(nets("nets_e"), width=0.5)


def test_layers_that_training_cannot_handle_are_refused(nets):
    drops = ("self.features = 32", "self.drop, self.features = nnx.Dropout(0.5, rngs=rngs), 32")
    assert "it holds random streams" in refusal(nets("nets_f", drop=drops))
    scale = ("self.features = 32", "self.scale, self.features = nnx.Param(jnp.ones(1)), 32")
    numpy = ("from flax import nnx", "import jax.numpy as jnp\nfrom flax import nnx")
    name = nets("nets_g", scale=scale, numpy=numpy)
    assert "parameters of scale are in none of BLOCKS" in refusal(name)
    norm = ("self.norm = nnx.BatchNorm(c_out, use_running_average=True, rngs=rngs)",
            "self.norm = nnx.RMSNorm(c_out, rngs=rngs)")  # fmt: skip
    name = nets("nets_h", norm=norm)
    build.check(Model(name=name), outputs=1, image_size=16)
    assert "it has RMSNorm: write float32" in refusal(name, precision="bfloat16")
