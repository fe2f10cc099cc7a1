"""The model card and the CLAIM checklist say what the run knows, and nothing else."""

import dataclasses
from pathlib import Path

import pytest

from fracjax.config import Config, Data, Loss, Phase, Train
from fracjax.evaluation import OperatingPoint
from fracjax.evaluation.temperature import Temperature
from fracjax.report import facts
from fracjax.report.charts.training import History
from fracjax.report.facts import DataFacts, RunFacts, versions
from fracjax.report.page import Facts
from fracjax.report.recipe import phase_text, result_text
from fracjax.report.sections.performance import subgroup_section
from fracjax.report.sections.run import (
    YOURS,
    card_section,
    claim_section,
    data_section,
    training_section,
)
from fracjax.report.table import Table
from tests.report.sample_page import KNOWN, REPORT, history, subgroups

DATA = DataFacts(
    name="hands",
    drawn=False,
    studies=60,
    files=61,
    refused={"truncated": 1},
    parts={part: {"healthy": n, "fracture": n} for part, n in (("train", 20), ("validation", 5))},
    fractions=(0.8, 0.2, 0.0),
    split_hash="0123456789abcdef",
    seed=3,
    groups=[1, 2],
    group_by="",
    audits=["clean"],
    audit_table=Table("Leakage audit", ("evaluated on",), ()),
    compared=True,
)
RUN = RunFacts(
    config=Config(data=Data(name="hands")),
    channels=1,
    depth=None,
    epoch=2,
    precision="float32",
    precision_shift="",
    point=OperatingPoint(0.4, None, None, "youden", 10, 5, 10, KNOWN, KNOWN),
    temperature=Temperature(1.0, 3, None, None),
    part="validation",
    n=10,
    data=DATA,
    histories={"network 1": History([], 2)},
)


def _with(**changes) -> RunFacts:
    data = dataclasses.replace(RUN.config.data, **changes)
    return dataclasses.replace(RUN, config=dataclasses.replace(RUN.config, data=data))


def _claim(run: RunFacts, sections=()) -> dict[int, str]:
    _, table = claim_section(run, sections).blocks
    assert isinstance(table, Table)
    return {int(str(row[0])): str(row[2]) for row in table.rows}


def _card(run: RunFacts) -> dict[str, str]:
    [card] = card_section(run, "AUC 0.9").blocks
    assert isinstance(card, Facts)
    return dict(card.rows)


def test_the_caveat_on_patients_knows_by_what_studies_are_grouped():
    both = "two studies of one patient may lie on both sides"
    kept = "studies are kept apart by visit and by their looks alone"
    for group_by, said, unsaid in (("", both, kept), ("visit", kept, both)):
        data = dataclasses.replace(DATA, group_by=group_by, drawn=False)
        words = " ".join(_card(dataclasses.replace(RUN, data=data)).values())
        assert said in words
        assert unsaid not in words


@pytest.mark.parametrize(
    ("changes", "claim", "card"),
    [
        ({}, "all studies of the classes", "40 studies of hands"),
        (
            {"subset": 0.5},
            "50% of the groups of training",
            "40 studies of hands; of those, 50% of the groups of training",
        ),
        (
            {"filter": Path("runs/d")},
            "studies that the detector runs/d calls positive, in training and validation",
            "40 studies of hands, those that the detector in runs/d passes",
        ),
        (
            {"filter": Path("runs/d"), "subset": 0.125},
            "studies that the detector runs/d calls positive, in training and validation; of "
            "those, 12.5% of the groups of training",
            "40 studies of hands, those that the detector in runs/d passes; of those, 12.5% of the "
            "groups of training",
        ),
    ],
    ids=["all", "subset", "filter", "both"],
)
def test_a_run_is_described_by_its_subset_and_by_its_filter(changes, claim, card):
    run = _with(**changes)
    assert _claim(run)[10] == claim
    assert _card(run)["Training data"] == card
    # Validation is filtered, too, and never a subset.
    passed = ", those that the detector in runs/d passes" if "filter" in changes else ""
    assert _card(run)["Chosen on"].startswith(
        f"10 studies of validation{passed}: epoch, temperature, threshold"
    )


def test_claim_points_only_to_sections_that_are_there():
    without, whole = _claim(RUN), _claim(RUN, ("subgroups", "mistakes"))
    assert len(without) == 44
    assert without[30] == without[31] == without[39] == YOURS
    assert whole[30] == "under Subgroups"
    assert whole[39] == "under The worst mistakes"
    assert YOURS in without[7]  # where an unknown dataset comes from
    drawn = dataclasses.replace(RUN, data=dataclasses.replace(DATA, drawn=True))
    assert _claim(drawn)[14] == "by construction"


def test_a_package_without_metadata_is_named_and_stops_no_report(monkeypatch):
    """As where fracjax is run from its source tree and is not installed."""
    monkeypatch.setattr(facts, "_PACKAGES", ("numpy", "no-such-package"))
    python, numpy, missing = versions().split(", ")
    assert python.startswith("Python 3")
    assert numpy.removeprefix("numpy ")[0].isdigit()
    assert missing == "no-such-package not installed"


def test_groups_by_a_column_are_said_to_be_so():
    data = dataclasses.replace(DATA, files=51)
    by_patient = dataclasses.replace(data, group_by="patient")
    said, before = str(data_section(by_patient)), str(data_section(data))
    assert "Groups by patient" in said
    assert "Studies of one patient, and near duplicates of any, lie in one part." in said
    assert "Patients are not known" in before
    assert "Patients are not known" not in said


def test_the_recipe_is_told_in_words():
    plain = Phase(epochs=5, learning_rate=1e-3)
    assert phase_text(plain, Train()) == (
        "up to 5 epochs at 0.001 (constant), trained from the first layer on"
    )
    rich = Phase(5, 1e-3, "mixed9", "cosine", 0.2, 0.02, 0.99, 2.0, 10.0, 0.8)
    assert phase_text(rich, Train(keep="last")) == (
        "5 epochs at 0.001 (cosine after 20 % of warm-up), trained from mixed9 on, AdamW with a "
        "weight decay of 0.02, second-moment decay 0.99, gradients clipped to a norm of 2, "
        "learning rate of the head times 10, of each block times 0.8 from the head down"
    )
    assert result_text(Train(keep="highest_auc", patience=4)) == (
        "the epoch of the highest validation AUC is kept, and a phase stops after 4 epochs without "
        "a higher one"
    )
    assert "the moving average" not in result_text(Train())
    assert "(decay 0.995)" in result_text(Train(average=0.995))


def test_what_is_learnt_beside_the_class_is_told():
    trained = dataclasses.replace(RUN, histories={"one": history()})
    assert "Beside the class" not in str(training_section(trained, None))
    loss = Loss(second_task=("region", "view"), second_weight=0.5)
    model = dataclasses.replace(RUN.config.model, localise=True)
    rich = dataclasses.replace(RUN.config, loss=loss, model=model)
    said = str(training_section(dataclasses.replace(trained, config=rich), None))
    assert "Beside the class: region, view, with a weight of 0.5 in the loss" in said
    assert "learns from the outlines of findings, with a weight of 1 in the loss." in said


def test_a_class_cue_among_the_subgroups_is_called_one():
    some = subgroups()
    without = [one for one in some if one.attribute != "hardware"]
    assert "A class cue is among them (hardware)" in str(subgroup_section(some, REPORT))
    assert len(without) < len(some)
    assert "class cue" not in str(subgroup_section(without, REPORT))


def test_a_run_says_by_which_rule_its_epoch_was_kept():
    assert _card(RUN)["Chosen on"] == "10 studies of validation: epoch, temperature, threshold"
    assert "lowest validation loss" in _claim(RUN).values()
    config = dataclasses.replace(RUN.config, train=Train(keep="last"))
    last = dataclasses.replace(RUN, config=config)
    assert _card(last)["Chosen on"].endswith(": temperature, threshold")
    assert "last epoch; nothing was selected" in _claim(last).values()
