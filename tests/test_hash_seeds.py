"""What is made twice of the same runs is the same bytes, whatever order Python's sets have."""

import os
import subprocess
import sys

from PIL import Image

from fracjax.loading.dataset_view import open_dataset
from tests.paths import ROOT

# Relative names for the results: reports say where they lie.
COMMANDS = """
import sys
from fracjax.cli.main import main

stage1, stage2, pictures = sys.argv[1:]
both = ("--stage1", stage1, "--stage2", stage2)
for words in (
    ("evaluate", "--checkpoint", stage1, "--split", "test", "--gallery", "2", "--out", "evaluated"),
    ("evaluate", "--checkpoint", stage2, "--split", "test", "--gallery", "0", "--out", "types"),
    ("compare", stage1, stage1, "--split", "test", "--out", "compared"),
    ("cascade", *both, "--split", "test", "--out", "cascade"),
    ("predict", *both, "--out", "predicted", "--report", pictures),
):
    if main(words):
        sys.exit(" ".join(words))
"""
OF_THE_CLOCK = {"test_looks.json"}


def test_two_hash_seeds_make_the_same_files(world_copy, tmp_path):
    stage1, stage2 = world_copy.stage1, world_copy.stage2
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    examples = open_dataset(stage1.data).part("test")
    for number, image in enumerate(examples.image[examples.rows[:4]]):
        Image.fromarray(image[..., 0]).save(pictures / f"{number}.png")
    made = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", COMMANDS, stage1.workdir, stage2.workdir, pictures]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        made.append({str(p.relative_to(folder)): p.read_bytes() for p in files})
    assert len(made[0]) > 20
    names = made[0].keys() | made[1].keys()
    differ = {name for name in names if made[0].get(name) != made[1].get(name)}
    assert {name.rpartition("/")[2] for name in differ} <= OF_THE_CLOCK
