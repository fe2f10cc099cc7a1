"""`fracjax ablate`: levers beside their base, out of fold, study by study."""

import json

import numpy as np
import pytest

from fracjax.config import io
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.compare import compare_auc
from fracjax.report.ablation_table import Ablation, ablation_table
from fracjax.workflows import ablate
from fracjax.workflows.ablate import Request, make_arms
from fracjax.workflows.levers import LEVERS
from fracjax.workflows.side_by_side import Limits

LIMITS = Limits(1.0, 1, ())


def _request(base="phantom_stage1", levers=("no_average", "gamma", "erase"), seeds=2, **other):
    return Request(base, levers, 2, seeds, **{"limits": LIMITS, **other})


def test_each_lever_is_its_flags_and_one_that_the_base_has_is_left_out():
    arms = make_arms(_request())
    names = [arm.name for arm in arms]
    assert names == [
        f"{lever}_seed_{seed}" for seed in (0, 1) for lever in ("base", "gamma", "erase")
    ]  # phantom_stage1 has no average to leave out
    for arm in arms:
        (config,) = arm.system.configs
        assert io.load("phantom_stage1", arm.words[3:]) == config
        assert (config.folds, config.train.seed) == (2, arm.seed)
        expected = 0.3 if arm.lever.name == "gamma" else 0.0
        assert config.augment.gamma == expected


@pytest.mark.parametrize("base", ["stage1", "stage1_mobilenet", "stage1_cpu"])
def test_every_lever_changes_one_field_of_the_recipes_or_is_theirs(base):
    """Those of what a map learns have the map as well."""
    arms = make_arms(_request(base, (), 1))
    differing = {
        arm.lever.name: io.differences(arm.system.configs[0], arms[0].system.configs[0])
        for arm in arms[1:]
    }
    changed = {name: [d for d in found if "workdir" not in d] for name, found in differing.items()}
    fields = {name: {one.split(":")[0] for one in found} for name, found in changed.items()}
    assert {len(found - {"model.localise"}) for name, found in fields.items() if name != "map"} == {
        1
    }
    assert fields["map"] == {"model.localise"}
    assert len(changed) > len(LEVERS) / 2
    assert len({lever.name for lever in LEVERS}) == len(LEVERS)


def test_everything_wrong_is_said_at_once(tmp_path):
    limits = Limits(-1.0, 0, (tmp_path / "nowhere",))
    with pytest.raises(InputError) as error:
        make_arms(Request("phantom_stage2", ("gama",), 1, 0, limits))
    for words in (
        "--minutes is -1",
        "--jobs is 0",
        "no folder",
        "--folds is 1; write 2 or more",
        "--seeds is 0",
        "no lever 'gama'; perhaps you meant gamma",
        "has 3 classes: name a detector",
    ):
        assert words in str(error.value)


def test_arms_of_a_frozen_prefix_keep_its_features_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the same command goes on
        for base in ("phantom_stage1", "stage1_frozen_cpu"):
            arms = make_arms(_request(base, ("gamma", "erase")))
            ablate._share_features(arms, ablate.FOLDER / base / "features")
    assert [folder.name for folder in ablate.FOLDER.iterdir()] == ["stage1_frozen_cpu"]
    stores = {arm.system.folder / "features" for arm in arms}
    assert len(stores) == 6
    assert {it.resolve() for it in stores} == {
        tmp_path / ablate.FOLDER / "stage1_frozen_cpu" / "features"
    }


@pytest.fixture
def scores(monkeypatch, tmp_path):
    """Forty studies: the base guesses, gamma knows better, of seed 1 there is only the base."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label, made = np.arange(40) % 2, {}
    for name, strength in (("base", 0.3), ("gamma", 2.0)):
        for seed in (0, 1):
            score = 1 / (1 + np.exp(-(strength * label + rng.normal(size=40))))
            order = rng.permutation(40)  # rows meet by their study, not by their place
            study = np.array([f"s{i}" for i in order])
            p = np.stack([1 - score[order], score[order]], axis=1)
            group = np.array([f"g{i // 2}" for i in order])
            made[name, seed] = Predictions(
                study, label[order], p, ("healthy", "fracture"), {"group": group}
            )
    missing = {("gamma", 1), ("erase", 0), ("erase", 1)}
    monkeypatch.setattr(
        ablate, "_steps", lambda arm: [((), (arm.lever.name, arm.seed) not in missing)]
    )
    monkeypatch.setattr(ablate, "_predictions", lambda arm: made[arm.lever.name, arm.seed])
    (tmp_path / ablate.FOLDER).mkdir(parents=True)
    return made


def test_a_lever_is_compared_with_the_base_of_the_same_seeds_study_by_study(scores):
    request = _request()
    made = ablate.compare_arms(request, make_arms(request))
    assert made is not None
    base, gamma = made.results  # erase has no run
    assert (base.seeds, gamma.seeds) == ((0, 1), (0,))
    first, second = scores["base", 0], scores["gamma", 0].aligned_to(scores["base", 0])
    groups = np.unique(first.groups, return_inverse=True)[1]
    expected = compare_auc(first.label, (first.fracture_score, second.fracture_score), groups)
    assert gamma.difference == expected.difference
    assert expected.difference.n == 40
    assert gamma.p_value == expected.p_value
    assert gamma.each == (pytest.approx(expected.second.value),)
    assert base.auc.value == pytest.approx(np.mean(base.each))
    assert (base.difference, base.p_value) == (None, None)


def test_the_comparison_is_read_back_for_the_page(scores):
    request = _request()
    made = ablate.compare_arms(request, make_arms(request))
    assert made is not None
    (path,) = ablate.FOLDER.glob("*.json")
    assert Ablation.from_dict(json.loads(path.read_text())) == made
    assert ablate.read_ablations() == [made]
    table = ablation_table(made)
    assert [row[0] for row in table.rows] == ["base", "gamma"]
    assert table.rows[1][1] == "--augment.gamma 0.3"
    assert "2 folds of training and validation" in table.title
