"""Every command: dry run, help, and one line for a bad input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fracjax.cli import main as cli
from fracjax.datasets.sources.archive import Changed
from fracjax.errors import InputError
from fracjax.loading.stored_rows import DamagedRows
from tests.cli_runner import run_cli
from tests.paths import ROOT

SCRIPTS = {p.stem: p.stem.replace("_", "-") for p in (ROOT / "scripts").glob("*.py")} | {
    "prepare_data": "prepare",
    "convert_weights": "convert",
}


def test_a_dry_run_prints_config_and_network_without_data(tmp_path):
    words = (
        "train --dry-run --config phantom_stage1 --data.batch-size 24 --phases.0.cut head "
        "--phases.0.learning-rate 0.1 --phases.0.block-decay 0.5 --phases.0.weight-decay 0.02"
    )
    answer = run_cli(*words.split(), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert '"batch_size": 24' in answer.stdout
    assert '"name": "phantom"' in answer.stdout
    assert "negative: healthy, positive: fracture\n" in answer.stdout
    lines = [line.split("│") for line in answer.stdout.splitlines() if "│" in line]
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:5]] for cells in lines}
    assert rows["head"][2] == "trained"
    rates = {cells[1].strip(): cells[6].strip() for cells in lines}
    assert (rates["head"], rates["dense"], rates["block3"]) == ("0.1", "0.05", "0.025")
    assert "AdamW with a weight decay of 0.02" in answer.stdout
    assert "The epoch of the lowest validation loss is kept" in answer.stdout
    total, trained, _ = rows["total"]
    assert int(total.replace(",", "")) > int(trained.replace(",", "")) > 0
    assert "no estimate of how long it takes: dataset 'phantom' is not prepared" in answer.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian --dry-run", "no command 'trian'; perhaps you meant train; there are prepare, "),
        (
            "train --config configs/stage3.py",
            "no config file configs/stage3.py; near ",
        ),
        ("train --config stage1_papers", "near it are stage1_paper"),
        ("train --profile 0", "--profile is 0; write how many steps to trace"),
        ("evaluate --checkpoint nowhere --split test", "not a run"),
        ("evaluate --split test", "write either --checkpoint DIR or --compare DIR DIR"),
        ("evaluate --compare a b --split test --views 2", "as validation stored them"),
        ("compare nowhere nowhere --split test", "nowhere"),
        ("cascade --stage1 nowhere --stage2 nowhere", "not a run"),
        ("explain --checkpoint nowhere", "not a run"),
        ("predict --stage1 nowhere nowhere.png", "nowhere"),
        ("export --stage1 nowhere", "not a run"),
        ("convert nowhere.h5", "no file nowhere.h5"),
        ("ablate phantom_stage2 --folds 1", "has 3 classes: name a detector"),
        ("reproduce --systems stag1 --jobs 0", "no system 'stag1'; perhaps you meant stage1"),
        ("prepare fracatlas", "--source is needed"),
        ("show nothing --config phantom_stage1 --data-dir nowhere", "nothing"),
        (
            "train --workdir nowhere --data.dir nowhere --model.weights none",
            "prepare",
        ),
        (
            "train --dry-run --data.batch-size 0 --model.dropout 1",
            "bad config: --data.batch-size is 0, below 1; --model.dropout is 1.0, not in [0, 1)",
        ),
        (
            "train --dry-run --config phantom_stage2 --train.keep highest_auc "
            "--phases.0.warm-up 0.3",
            "--train.keep is highest_auc, and of 3 classes there is no such AUC",
        ),
        (
            "train --dry-run --config phantom_stage1 --phases.0.cut blok2",
            "the cut is 'blok2', which this network does not have; perhaps you meant",
        ),
        (
            "train --dry-run --config phantom_stage1 --threshold best",
            "no threshold rule 'best'; expected youden, sensitivity:TARGET",
        ),
        ("train --workdir nowhere", "inception_v3_weights_tf_dim_ordering_tf_kernels_no"),
        (
            "train --workdir nowhere --model.weights none --data.filter nowhere",
            "--data.filter none",
        ),
    ],
)
def test_a_bad_input_is_one_line_and_exit_code_2(words, message, tmp_path):
    answer = run_cli(*words.split(), cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ")
    assert len(answer.stderr.strip().splitlines()) == 1, answer.stderr
    assert message in answer.stderr


@pytest.mark.parametrize(
    "error",
    [
        InputError("data.batch_size is 0"),
        DamagedRows(Path("features/a.npy"), (0, 0), "row 2; data.batch_size"),
        Changed("a.png", "has data.batch_size"),
    ],
)
def test_a_refusal_of_any_kind_from_training_is_one_line_of_flags(error, monkeypatch):
    def fit(*_, **__):
        raise error

    said = str(error)
    monkeypatch.setattr("fracjax.workflows.train.fit", fit)
    answer = run_cli("train", "--config", "phantom_stage1")
    expected = said.replace("data.batch_size", "--data.batch-size")
    assert (answer.returncode, answer.stderr) == (2, f"error: {expected}\n")


def test_a_misspelt_field_is_answered_with_the_right_one():
    answer = run_cli("train", "--data.batchsize", "4")
    assert answer.returncode == 2
    assert "--data.batch-size" in answer.stderr


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_help_page_and_a_line_in_that_of_all(name):
    assert f"\n  {name} " in run_cli("--help").stdout
    page = run_cli(name, "--help")
    assert page.returncode == 0
    assert f"usage: fracjax {name} " in page.stdout


def test_prepare_names_show():
    assert "fracjax show NAME" in " ".join(run_cli("prepare", "--help").stdout.split())


def test_every_script_is_a_command():
    for stem, command in SCRIPTS.items():
        assert f'"{command}"' in (ROOT / "scripts" / f"{stem}.py").read_text()
    assert set(SCRIPTS.values()) == set(cli.COMMANDS) - {"show", "compare"}


def test_a_script_and_the_command_answer_alike(tmp_path):
    """Two interpreters: what happens before `main`, and the exit code after it, are seen here."""
    entry = "from fracjax.cli.main import run; run()"
    for command in (["-c", entry, "show"], [ROOT / "scripts" / "prepare_data.py", "show"]):
        done = subprocess.run(
            [sys.executable, *command, "nothing", "--config", "nowhere"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("error: no config file nowhere; packaged are ")
