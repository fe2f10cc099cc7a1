"""The names of `fracjax`: documented, imported late, and the page's example runs."""

import dataclasses
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fracjax
from fracjax.config.io import packaged
from fracjax.errors import InputError
from tests.datasets.trees import encode, write
from tests.datasets.trees import picture as draw
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def test_every_name_is_there_and_on_the_page():
    names = set(fracjax.__all__) - {"__version__"}
    assert all(getattr(fracjax, name) for name in names)
    assert set(re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE)) == names
    assert names < set(dir(fracjax))
    assert fracjax.InputError is InputError
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = fracjax.fitt


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    example = "".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/api.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "('healthy', 'fracture')" in printed
    assert "no_such_image.png" in printed
    assert (tmp_path / "runs" / "phantom_stage1" / "evaluation" / "validation").is_dir()


def test_every_path_may_be_a_string(world, tmp_path):
    """As a notebook writes them; what comes back is a `Path`. The page's example prepares so."""
    picture = write(tmp_path / "films" / "a.png", encode(draw(0, 32, 32), "PNG"))
    labels = write(tmp_path / "labels.csv", b"file,label\na.png,fracture\n")
    workdir, data = str(world.stage1.workdir), str(world.stage1.data.dir)
    out = tmp_path / "predictions"
    found = fracjax.predict_files(str(picture.parent), workdir, out=str(out))
    assert found == out / "predictions.csv"
    names = ("healthy", "fracture")
    predictions = fracjax.Predictions.from_csv(str(found), str(labels), classes=names)
    predictions.to_csv(str(tmp_path / "again.csv"))
    assert len(fracjax.Predictions.from_csv(str(tmp_path / "again.csv")).label) == 1

    assert fracjax.open_run(workdir).meta.classes == names
    fracjax.evaluate(workdir, "test", data_dir=data, out=str(tmp_path / "evaluation"))
    assert (tmp_path / "evaluation" / "test" / "metrics.json").exists()
    with pytest.raises(InputError, match="is the dataset that the run was trained on"):
        fracjax.evaluate(workdir, on=f"{data}/phantom")

    config = dataclasses.replace(world.stage1)
    object.__setattr__(config, "workdir", workdir)  # tests check types, and a notebook does not
    assert fracjax.fit(config) == world.stage1.workdir


def test_neither_the_package_nor_the_help_page_imports_jax():
    program = "import sys, fracjax; from fracjax.cli.main import main; code = main(['--help'])"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(code, sorted(sys.modules))"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = done.stdout.splitlines()[-1].split(" ", 1)
    assert code == "0"
    assert not {"jax", "numpy", "rich", "tyro"} & set(re.findall(r"'(\w+)'", modules))


def test_the_wheel_has_every_package_the_configs_and_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "fracjax").rglob("*.py")}
    expected = {".".join(folder.parts) for folder in folders}
    assert set(listed) == expected | {"fracjax.configs", "fracjax.report.templates"}
    assert project["tool"]["setuptools"]["package-dir"]["fracjax.configs"] == "configs"
    assert project["project"]["scripts"] == {"fracjax": "fracjax.cli.main:run"}
    assert (ROOT / "fracjax" / "py.typed").exists()
    # The detector that comes with it, and its card.
    for name in project["tool"]["setuptools"]["package-data"]["fracjax.pretrained"]:
        assert (ROOT / "fracjax" / "pretrained" / name).is_file(), name


def test_packaged_configs_are_those_of_the_checkout():
    assert set(packaged().values()) == set(Path(ROOT / "configs").glob("*.py"))
