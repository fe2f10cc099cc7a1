"""No cell of a CSV of ours is run by a spreadsheet, and all are read back as they were."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fracjax.datasets.prepared import TAKEN, ManifestRow, read_manifest, write_manifest
from fracjax.evaluation.predictions import Predictions
from fracjax.inference.prediction_files import Result, results_table
from fracjax.runtime.csv_table import as_cell, from_cell, read_table

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"]
TEXTS = [*FORMULAS, *(f"'{it}" for it in FORMULAS), *(f"''{it}" for it in FORMULAS), "'", "''", "",
         "a=b", "it's", "'quoted'", " =1", "ü", "1"]  # fmt: skip


def is_run(cell: str) -> bool:
    return cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")


def cells(path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_defused_and_read_back_the_same(text):
    assert not is_run(as_cell(text))
    assert from_cell(as_cell(text)) == text


def test_numbers_are_left_alone():
    assert as_cell(-1.5) == -1.5
    assert as_cell(None) is None


def test_the_manifest(tmp_path):
    rows = [ManifestRow(text, TAKEN, text, f"s{text}", text, note=text) for text in TEXTS]
    write_manifest(rows, tmp_path / "manifest.csv")
    assert not any(map(is_run, cells(tmp_path / "manifest.csv")))
    assert read_manifest(tmp_path / "manifest.csv") == rows


def test_predictions_of_an_evaluation(tmp_path):
    texts = [text for text in TEXTS if text]
    whole = Predictions(
        study=np.array(texts),
        label=np.arange(len(texts)) % 2,
        probabilities=np.full((len(texts), 2), 0.5),
        classes=("=healthy", "-broken"),
        attributes={"=patient": np.array(texts), "age": -np.arange(len(texts))},
    )
    whole.to_csv(tmp_path / "predictions.csv")
    read = Predictions.from_csv(tmp_path / "predictions.csv")
    found = [cell for cell in cells(tmp_path / "predictions.csv") if is_run(cell)]
    assert all(cell.lstrip("-").isdigit() for cell in found)  # ages, which are numbers
    assert read.study.tolist() == whole.study.tolist()
    assert read.classes == whole.classes
    assert read.label.tolist() == whole.label.tolist()
    assert read.attributes["=patient"].tolist() == texts
    assert read.attributes["age"].tolist() == whole.attributes["age"].tolist()


def test_predictions_of_files(tmp_path):
    path, named = tmp_path / "predictions.csv", [text for text in TEXTS if text]
    with results_table(path, 0.5, ["=type"]) as add:
        for text in named:
            add(Result(Path(text), note=text, probability=0.5, decision=text, types={"=type": 1.0}))
    assert not any(map(is_run, cells(path)))
    table = read_table(path.read_bytes(), "it", "path", ours=True)
    assert [table.rows[text]["decision"] for text in named] == named
