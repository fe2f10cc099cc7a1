"""Every benchmark runs at toy size; what they ask each other and print needs no measuring."""

import ast
import importlib
import json
import os
import subprocess
import sys
from dataclasses import make_dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
TOY = {
    "speed/run.py": "--networks basic_cnn --parts full --batch 1 --rounds 1 --seconds 0",
    "input/run.py": "--count 64 --rounds 1 --gib 0.1 --workers 1",
    "predict.py": "--count 4 --rounds 1 --batch-size 2",
    "systems.py": "--configs configs/phantom_stage1.py --batch 2 --steps 1 --rounds 1",
    "faults.py": "--pictures 30 --stored 10 --kills 4 --races 1 --disks 0.5",
    "accelerator.py": "--toy --only stage1_run kernels_inception_v3 --kept {tmp}/kept",
    "stage1_run.py": "--config configs/phantom_stage1.py --studies 60 --side 48 --epochs 2 "
    "--data.image-size 32 --model.width 0.1",
    "kernels.py": "--config configs/phantom_stage1.py --studies 60 --steps 2 --data.batch-size 4 "
    "--data.image-size 32 --model.width 0.1",
    "levers.py": "--network basic_cnn --levers flat_adam --batch 2 --rounds 1 --steps 1",
    "start.py": "--network basic_cnn --batch 1",
    "saving.py": "--config configs/phantom_stage1.py --epochs 1 --seconds 0 --model.width 0.1",
    "many_runs.py": "--of seeds --ks 1 --rounds 1 --width 0.1 --image-size 16 --studies 60 "
    "--batch-size 4 --epochs 1",
    "near_duplicates.py": "--dataset {tmp}/data/phantom --pictures 100",
    "precision.py": "--seeds 1 --data.dir {tmp}/data --into {tmp}/runs --data.image-size 16 "
    "--data.batch-size 4 --model.width 0.1 --phases.0.epochs 1",
}


@pytest.fixture
def import_path(monkeypatch):
    """As of a script in `benchmarks/speed`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.syspath_prepend(BENCHMARKS / "speed")


def test_each_one_is_run_below():
    scripts = [
        str(path.relative_to(BENCHMARKS))
        for path in BENCHMARKS.rglob("*.py")
        if "python benchmarks/" in path.read_text().split('"""')[1]
    ]
    elsewhere = "gpu_program.py", "speed/layers.py"  # which need jax[cuda13] and torch
    assert sorted(scripts) == sorted([*TOY, *elsewhere])


def test_every_name_that_they_import_from_fracjax_is_there():
    for path in BENCHMARKS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("fracjax")
            ):
                names = [alias.name for alias in node.names]
                module = importlib.import_module(node.module)
                lacking = [name for name in names if not hasattr(module, name)]
                assert not lacking, f"{path.name}: {node.module} has no {lacking}"


@pytest.mark.slow
@pytest.mark.parametrize("script", TOY)
def test_it_runs_at_toy_size(script, tmp_path):
    if "{tmp}/data" in TOY[script]:
        from fracjax.datasets.prepare import prepare
        from fracjax.datasets.request import Request

        prepare(Request("phantom", data_dir=tmp_path / "data", count=60))
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *TOY[script].format(tmp=tmp_path).split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout.lower()
    # accelerator.py keeps the tables that its parts print.
    assert done.stdout.count("|") > 6 or "moved" in done.stdout or "done in" in done.stdout


def test_a_contender_answers_in_turn_and_tells_how_it_ended(import_path, tmp_path):
    from contender import Contender, ContenderError

    script = tmp_path / "toy.py"
    script.write_text(
        "from contender import serve, spec\n"
        "asked = spec()\n"
        "hello = lambda: print('a library prints') or {'hello': asked['name']}\n"
        "serve(hello, lambda question: {'twice': 2 * question['n']})\n"
    )
    process = Contender(sys.executable, str(script), {"name": "toy"})
    assert process.hello == {"hello": "toy"}
    assert process.ask(n=3) == {"twice": 6}
    assert process.ask(n=[1])["twice"] == [1, 1]
    assert process.ask(m=0)["error"].startswith("KeyError")
    process.close()
    script.write_text("raise SystemExit(3)")
    with pytest.raises(ContenderError, match="ended early, with 3"):
        Contender(sys.executable, str(script), {})


def test_flags_are_kept_as_json_takes_them(import_path):
    from machine import settings

    flags = make_dataclass("Flags", ["config", "json", "epochs"])(Path("configs/a.py"), None, 3)
    kept = json.loads(json.dumps(settings(flags)))
    assert kept == {"config": "a.py", "json": None, "epochs": 3}


def test_the_table_of_speed_has_medians_of_ratios_of_rounds(import_path):
    from table import tables

    def contender(training, start):
        return {
            "versions": "v",
            "huge_pages": False,
            "trained": 7,
            "parameters": 9,
            "training": training,
            "starts": [start],
            "first": {"training": 1.5},
            "peak": 2e9,
        }

    row = {"network": "inception_v3", "part": "frozen"}
    contenders = {"fracjax": contender([1.0, 2.0, 4.0], 10.0), "keras_jax": contender([2, 6, 4], 5)}
    roof = {"float32": 1e12, "bfloat16": 1e12, "tensorfloat32": 1e12, "copy": 1e9}
    found = {
        "machine": "m",
        "settings": {"batch": 8, "precision": "float32", "rounds": 3, "seconds": 1, "starts": 1},
        "load": [1.0, 2.0],
        "roof": [roof],
        "rows": [{**row, "contenders": contenders}],
        "failed": [],
    }
    lines = tables(json.loads(json.dumps(found))).splitlines()
    (keras,) = [line for line in lines if "| keras_jax | 7 |" in line]
    assert "| 2.0 | 2.00 (1.00–3.00) |" in keras  # 8 / median 4; of 2/1, 6/2, 4/4
    assert any("| keras_jax | 5.0 | - | 0.50 |" in line for line in lines)


def test_less_trains_above_a_cut_and_a_cnn_has_none(import_path):
    from networks import System, systems

    assert [s.part for s in systems(("basic_cnn",), ("full", "all", "frozen"))] == ["full"]
    parts = [System("inception_v3", part) for part in ("full", "all", "frozen")]
    training = [system.nominal_flops("training") for system in parts]
    assert training == sorted(training, reverse=True)
    assert training[-1] > parts[0].nominal_flops("inference")
