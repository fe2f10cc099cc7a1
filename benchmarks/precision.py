"""A detector trained in float32 and in bfloat16: its AUC, and how far bfloat16 moves probabilities.

python benchmarks/precision.py [--config configs/phantom_stage1.py] [--seeds 3] [--into DIR]
                               [--json FILE] [--data.dir data] [--model.name mobilenet_v2 ...]

Every further flag overrides a field of the config, as in `scripts/train.py`; the dataset must have
been prepared. Each seed is trained twice, and judged on validation at its best epoch. `moved` is
the largest change of a test study's probability when the network predicts in the other precision
than that of its training: more than 0.01 is refused by `scripts/evaluate.py --precision`. A run
that is killed goes on where it stopped.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import jax
import numpy as np
from machine import describe, machine_line
from rich.console import Console

from fracjax.cli.process import run_program
from fracjax.config import Config, Precision
from fracjax.config.io import load
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.delong import auc_difference, auc_estimate
from fracjax.evaluation.validation import group_indices
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.sharding import data_mesh
from fracjax.training.loop import fit_members

OTHER: dict[Precision, Precision] = {"float32": "bfloat16", "bfloat16": "float32"}
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "phantom_stage1.py")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--into", type=Path, default=Path("runs/precision"))
    parser.add_argument("--json", type=Path)
    ours, overrides = parser.parse_known_args()
    if ours.seeds < 1:
        raise InputError(f"--seeds is {ours.seeds}; write 1 or more")
    config = load(ours.config, overrides, __doc__ or "")
    if len(config.data.classes) != 2:
        raise InputError(f"{ours.config} is no detector, and other networks have no AUC")
    side = config.data.image_size
    found: dict[str, Any] = {
        "machine": machine_line(describe(jax.devices()[0])),
        "network": f"{config.model.name}, {side}x{side}, {config.data.name}",
        "settings": [ours.config.name, *overrides],
        "seeds": [],
    }
    print(f"{found['machine']}\n{found['network']}")
    for seed in range(config.train.seed, config.train.seed + ours.seeds):
        rows = {p: _row(config, seed, p, ours.into) for p in OTHER}
        judged, moved = rows["float32"]
        other, moved_back = rows["bfloat16"]
        labels, groups = judged.label, group_indices(judged.groups, len(judged.label))
        wide, narrow = judged.fracture_score, other.fracture_score
        difference, _ = auc_difference(labels, wide, narrow, groups)
        aucs = [auc_estimate(labels, scores, groups) for scores in (wide, narrow)]
        found["seeds"].append(
            {
                "seed": seed,
                "auc": {p: auc.value for p, auc in zip(rows, aucs, strict=True)},
                "difference": difference.value,
                "moved": {"float32": moved, "bfloat16": moved_back},
            }
        )
        if ours.json:
            write_json(ours.json, found)
        print(
            f"seed {seed}: AUC in float32 {aucs[0]}, in bfloat16 {aucs[1]}; difference "
            f"{difference.figure} ({difference.method}); moved {moved:.4f}, and back "
            f"{moved_back:.4f}",
            flush=True,
        )
    if ours.seeds > 1:
        differences = [one["difference"] for one in found["seeds"]]
        error = statistics.stdev(differences) / ours.seeds**0.5
        print(
            f"mean difference {statistics.mean(differences):+.4f}, its standard error {error:.4f}"
        )


def _row(config: Config, seed: int, precision: Precision, into: Path) -> tuple[Predictions, float]:
    """What is said of validation, and how far the other precision moves the scores of test."""
    config = dataclasses.replace(
        config,
        workdir=into / f"{config.model.name}_{precision}_{seed}",
        model=dataclasses.replace(config.model, precision=precision),
        train=dataclasses.replace(config.train, seed=seed),
    )
    fit_members(config, Console(quiet=True))
    run, dataset = open_run(config.workdir, data_mesh()), open_dataset(config.data)
    validation = run.predict(dataset.part("validation"))
    test = dataset.part("test")
    one, other = (
        each.predict(test).fracture_score for each in (run, run.in_precision(OTHER[precision]))
    )
    return validation, float(np.abs(one - other).max())


if __name__ == "__main__":
    run_program(main)
