"""The doors: dry run, help, and one line for a bad input."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


def _run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    script, *rest = words
    command = [sys.executable, str(ROOT / "scripts" / script), *rest]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_dry_run_prints_config_and_network_without_data(tmp_path):
    config = str(ROOT / "configs" / "stage1.py")
    done = _run(
        "train.py", "--config", config, "--dry-run", "--data.batch-size", "16", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert '"batch_size": 16' in done.stdout
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if "│" in line}
    assert "6,080,064" in rows["mixed10"]
    assert "frozen" in rows["mixed8"] or "part" in rows["mixed8"]  # BatchNorm trains everywhere
    assert "21,804,833" in rows["total"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train.py", "--config", "configs/stage3.py"), "no config file configs/stage3.py; near"),
        (("train.py", "--profile", "0"), "--profile is 0; write how many steps to trace"),
        (("evaluate.py", "--checkpoint", "nowhere", "--split", "test"), "not a run"),
        (("cascade.py", "--stage1", "nowhere", "--stage2", "nowhere"), "not a run"),
        (("export.py", "--stage1", "nowhere"), "not a run"),
        (("convert_weights.py", "nowhere.h5"), "no file nowhere.h5"),
        (
            (
                "train.py",
                "--workdir",
                "nowhere",
                "--data.dir",
                "nowhere",
                "--model.weights",
                "none",
            ),
            "python scripts/prepare_data.py fracatlas",
        ),
        (
            ("train.py", "--dry-run", "--phases.0.cut", "mixd9"),
            "phases.0.cut: the cut is 'mixd9', which this network does not have; perhaps you meant",
        ),
        (
            ("train.py", "--dry-run", "--phases.0.cut", "311", "--threshold", "best"),
            "no threshold rule 'best'; expected youden, sensitivity:TARGET",
        ),
        (
            ("train.py", "--workdir", "nowhere"),
            "python scripts/convert_weights.py inception_v3_weights_tf_dim_ordering_tf_kernels_no",
        ),
        (
            (
                "train.py",
                "--workdir",
                "nowhere",
                "--model.weights",
                "none",
                "--data.filter",
                "nowhere",
            ),
            "or write --data.filter none",
        ),
    ],
)
def test_a_bad_input_is_one_line_and_exit_code_2(words, message):
    done = _run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert message in done.stderr


def test_a_misspelt_field_is_answered_with_the_right_one():
    done = _run("train.py", "--data.batchsize", "4")
    assert done.returncode == 2
    assert "--data.batch-size" in done.stderr
