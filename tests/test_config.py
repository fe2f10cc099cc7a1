"""Config files, overrides, and what is said of bad ones."""

import dataclasses
import json
from pathlib import Path

import pytest

from fracjax import config_file
from fracjax.config import GROUPS, Config, Data, Phase, Train
from fracjax.config_check import check
from fracjax.config_file import load
from fracjax.errors import UserError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


def _file(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "some.py"
    path.write_text(f"from fracjax.config import *\n{body}\n")
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_of_the_house_loads_and_survives_json(path):
    config = load(path)
    again = json.loads(json.dumps(config_file.to_dict(config)))
    assert config_file.from_dict(again) == config


def test_overrides_replace_single_fields(tmp_path):
    path = _file(tmp_path, "def get_config(): return Config(train=Train(seed=7))")
    config = load(path, ["--data.batch-size", "16", "--data.classes", "a", "b", "c"])
    expected = Config(data=Data(batch_size=16, classes=("a", "b", "c")), train=Train(seed=7))
    assert config == expected


def test_a_misspelt_flag_is_answered_with_the_nearest_right_one(tmp_path, capsys):
    path = _file(tmp_path, "def get_config(): return Config()")
    with pytest.raises(SystemExit) as stop:
        load(path, ["--data.batchsize", "4"])
    assert stop.value.code == 2
    assert "--data.batch-size" in capsys.readouterr().err


def test_help_documents_every_field_with_its_default(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = _file(tmp_path, "def get_config(): return Config()")
    with pytest.raises(SystemExit) as stop:
        load(path, ["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for group in set(GROUPS) - {Config}:
        name = {"Phase": "phases.0"}.get(group.__name__, group.__name__.lower())
        for field in dataclasses.fields(group):
            flag = f"--{name}.{field.name.replace('_', '-')}"
            assert flag in text, flag
    assert text.count("(default:") >= 20


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1", r"defines no get_config\(\)"),
        ("def get_config(): pass", r"returned NoneType.*return Config"),
        (
            "def get_config(): return Config(data=Data(batchsize=4))",
            r"perhaps you meant batch_size",
        ),
        ("def get_config(): return Config(dta=1)", r"perhaps you meant data"),
        ("def get_config(): return Config(", r"does not make a config"),
        ("def get_config(): raise ValueError('odd')", r"does not make a config: odd"),
    ],
)
def test_a_file_that_makes_no_config_is_refused(tmp_path, body, message):
    with pytest.raises(UserError, match=message):
        load(_file(tmp_path, body))


def test_a_missing_file_is_answered_with_the_nearest_one():
    with pytest.raises(UserError, match=r"no config file .*stage_1.py; near it are .*stage1.py"):
        load(CONFIGS[0].with_name("stage_1.py"))


def test_values_of_other_types_are_refused_all_at_once():
    bad = Config()  # set past the type checks that tests run under, and users do not
    object.__setattr__(bad.freeze, "batch_norm", "abovecut")
    object.__setattr__(bad.data, "filter", "runs/x")
    object.__setattr__(bad.phases[0], "epochs", 2.5)
    with pytest.raises(UserError) as error:
        check(bad)
    for part in (
        "freeze.batch-norm is 'abovecut', not one of all, above_cut, frozen; perhaps you meant",
        "data.filter is 'runs/x', a str, not",
        "phases.0.epochs is 2.5, a float, not int",
    ):
        assert part in str(error.value)


def test_impossible_values_are_refused_all_at_once():
    bad = Config(
        data=Data(batch_size=0, classes=("a",)),
        phases=(Phase(epochs=0, learning_rate=0.0),),
    )
    with pytest.raises(UserError) as error:
        check(bad)
    for name in ("data.batch-size", "data.classes", "phases.0.learning-rate", "phases.0.epochs"):
        assert name in str(error.value)


def test_a_config_of_another_version_is_refused():
    values = config_file.to_dict(Config())
    values["data"]["colour"] = 1
    del values["data"]["name"]
    with pytest.raises(UserError, match=r"no field\(s\) \['colour'\] and misses \['name'\]"):
        config_file.from_dict(values)


def test_differences_name_the_fields():
    other = dataclasses.replace(Config(), data=Data(batch_size=8))
    assert config_file.differences(Config(), other) == ["data.batch_size: 32 != 8"]
