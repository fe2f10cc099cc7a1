"""Config files, overrides, and what is said of bad ones."""

import dataclasses
import json
from pathlib import Path

import pytest

from fracjax import config
from fracjax.config import GROUPS, Augment, Config, Data, Ensemble, Loss, Phase, Sweep, Train, io
from fracjax.config.io import load
from fracjax.config.rules import check
from fracjax.errors import InputError
from tests.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.py"))


def _file(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "some.py"
    path.write_text(f"from fracjax.config import *\n{body}\n")
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_of_the_house_loads_and_survives_json(path):
    for name in io.each(path):
        config = load(name)
        again = json.loads(json.dumps(io.to_dict(config)))
        assert io.from_dict(again) == config


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
    with pytest.raises(InputError, match=message):
        load(_file(tmp_path, body))


def test_a_missing_file_is_answered_with_the_nearest_one():
    with pytest.raises(
        InputError,
        match=r"no config file .*stage_1.py; near it are .*stage1.py.*; packaged are phantom_",
    ):
        load(CONFIGS[0].with_name("stage_1.py"))


def test_values_of_other_types_are_refused_all_at_once():
    # Set past the type checks that tests run under, and users do not. A phase of its own: the
    # default one is shared by all configs.
    bad = Config(phases=(Phase(),))
    object.__setattr__(bad.freeze, "batch_norm", "abovecut")
    object.__setattr__(bad.data, "filter", "runs/x")
    object.__setattr__(bad.phases[0], "epochs", 2.5)
    with pytest.raises(InputError) as error:
        check(bad)
    for part in (
        "freeze.batch_norm is 'abovecut', not one of all, above_cut, frozen; perhaps you meant",
        "data.filter is 'runs/x', a str, not",
        "phases.0.epochs is 2.5, a float, not int",
    ):
        assert part in str(error.value)


def test_impossible_values_are_refused_all_at_once():
    bad = Config(
        data=Data(batch_size=0, classes=("a",)),
        phases=(Phase(epochs=0, learning_rate=0.0),),
    )
    with pytest.raises(InputError) as error:
        check(bad)
    for name in ("data.batch_size", "data.classes", "phases.0.learning_rate", "phases.0.epochs"):
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Config(folds=1), "folds is 1, which leaves nothing to train on; write 0, or 2 or more"),
        (Config(folds=-1), "folds is -1, below 0"),
        (Config(folds=""), "folds is , neither a number nor a column"),
        (
            Config(folds="source", data=Data(fold="2/5")),
            "folds is source, so data.fold must be none",
        ),
        (
            Config(folds=5, ensemble=Ensemble(members=3)),
            "folds is 5 and ensemble.members 3: the networks of a run are one or the other",
        ),
        (
            Config(folds=5, data=Data(fold="2/5")),
            "folds is 5, so data.fold must be none",
        ),
        (Config(ensemble=Ensemble(members=0)), "ensemble.members is 0, below 1"),
        (Config(sweep=Sweep(seeds=0)), "sweep.seeds is 0, below 1"),
        (
            Config(sweep=Sweep((0.1, 0.0))),
            "sweep.learning_rates.1 is 0.0, not above 0",
        ),
        (
            Config(sweep=Sweep((0.1, float("nan")))),
            "sweep.learning_rates.1 is nan, not a finite number",
        ),
        (
            Config(sweep=Sweep((0.1, 0.2, 0.1))),
            "sweep.learning_rates is (0.1, 0.2, 0.1), which names one twice",
        ),
        (
            Config(sweep=Sweep((0.1,))),
            "sweep.learning_rates is 0.1 alone: write it as phases.0.learning_rate, or more of "
            "them to compare",
        ),
        (
            Config(sweep=Sweep(seeds=2), folds=5),
            "a sweep compares runs of one network: leave out folds and ensemble.members, and "
            "train them with what the sweep finds",
        ),
        (
            Config(sweep=Sweep((0.1, 0.2)), ensemble=Ensemble(members=2)),
            "a sweep compares runs of one network: leave out folds and ensemble.members, and "
            "train them with what the sweep finds",
        ),
        (
            Config(sweep=Sweep(seeds=2), train=Train(seed=2**31 - 1)),
            "train.seed is 2147483647: with one for each network it must stay below 2,147,483,648",
        ),
        (Config(data=Data(subset=0.0)), "data.subset is 0.0, not above 0"),
        (Config(data=Data(subset=1.1)), "data.subset is 1.1, above 1, which is all studies"),
        (
            Config(sweep=Sweep(subsets=(0.1, 0.0, 1.5))),
            "sweep.subsets.1 is 0.0, not above 0; sweep.subsets.2 is 1.5, above 1, which is all "
            "studies",
        ),
        (
            Config(sweep=Sweep(subsets=(0.1, 0.5, 0.1))),
            "sweep.subsets is (0.1, 0.5, 0.1), which names one twice",
        ),
        (
            Config(sweep=Sweep(subsets=(0.5,))),
            "sweep.subsets is 0.5 alone: write it as data.subset, or more of them for a learning "
            "curve",
        ),
        *(
            (
                dataclasses.replace(Config(sweep=Sweep(subsets=(0.5, 1.0))), **other),
                "sweep.subsets is 0.5, 1.0, a learning curve of one network for each, and for "
                "each of sweep.seeds: leave out sweep.learning_rates, folds and ensemble.members",
            )
            for other in (
                {"sweep": Sweep((0.1, 0.2), subsets=(0.5, 1.0))},
                {"sweep": Sweep(seeds=2, subsets=(0.5, 1.0)), "folds": 5},
                {"folds": "source"},
                {"ensemble": Ensemble(members=2)},
            )
        ),
        (
            Config(data=Data(classes=("a", "b", "c")), train=Train(keep="highest_auc")),
            "train.keep is highest_auc, and of 3 classes there is no such AUC: write train.keep "
            "lowest_loss or last",
        ),
        (
            Config(phases=(Phase(schedule="cosine", warm_up=0.2), Phase(warm_up=0.2))),
            "phases.1.warm_up is 0.2, but a constant schedule has no such warm-up: write "
            "phases.1.schedule cosine, or leave out warm_up",
        ),
        (
            Config(phases=(Phase(weight_decay=-0.1, second_moment_decay=1.0, clip_norm=-1.0),)),
            "phases.0.weight_decay is -0.1, below 0; phases.0.second_moment_decay is 1.0, not in "
            "[0, 1); phases.0.clip_norm is -1.0, below 0",
        ),
        (
            Config(phases=(Phase(head_rate=0.0, block_decay=1.5),), train=Train(average=1.0)),
            "phases.0.head_rate is 0.0, not above 0; phases.0.block_decay is 1.5, above 1; "
            "train.average is 1.0, not in [0, 1)",
        ),
        (
            Config(sweep=Sweep(subsets=(0.5,)), data=Data(subset=0.2), folds=5),
            "sweep.subsets is 0.5 alone: write it as data.subset, or more of them for a learning "
            "curve; data.subset is 0.2 and sweep.subsets 0.5: they are one or the other; "
            "sweep.subsets is 0.5, a learning curve of one network for each, and for each of "
            "sweep.seeds: leave out sweep.learning_rates, folds and ensemble.members",
        ),
        (Config(loss=Loss(label_smoothing=1.0)), "loss.label_smoothing is 1.0, not in [0, 1)"),
        (
            Config(loss=Loss(focal_gamma=0.5)),
            "loss.focal_gamma is 0.5, between 0 and 1, where its gradient is infinite; write 0 for "
            "none, or 1 or more",
        ),
        (Config(loss=Loss(focal_gamma=-1.0)), "loss.focal_gamma is -1.0, below 0"),
        (
            Config(loss=Loss(second_task=("region", "Hardware"), second_weight=0.0)),
            "loss.second_task.1 is Hardware, a class cue: it is seen where a fracture was treated, "
            "and who learns to tell it tells the class by it. Leave it out; among the subgroups it "
            "stands apart; loss.second_weight is 0.0, not above 0",
        ),
        (
            Config(loss=Loss(second_task=("view", "view"))),
            "loss.second_task is ('view', 'view'), which names one twice",
        ),
        (
            Config(loss=Loss(second_weight=0.5)),
            "loss.second_weight is 0.5, and there is no second task: name its columns in "
            "loss.second_task, or leave out the weight",
        ),
        (Config(train=Train(plateau_factor=1.0)), "train.plateau_factor is 1.0, not below 1"),
        (Config(train=Train(plateau_factor=0.0)), "train.plateau_factor is 0.0, not above 0"),
        (Config(train=Train(plateau_patience=0)), "train.plateau_patience is 0, below 1"),
        (Config(data=Data(positive_share=1.0)), "data.positive_share is 1.0, not in [0, 1)"),
        (Config(data=Data(positive_share=-0.1)), "data.positive_share is -0.1, not in [0, 1)"),
        (
            Config(
                data=Data(positive_share=0.01, oversample=True, classes=("a", "b", "c")),
                loss=Loss(class_weights="balanced"),
            ),
            "data.oversample and loss.class_weights balanced both make up for rare classes: choose "
            "one of them; data.positive_share is 0.01: it and data.oversample both make up for "
            "rare classes: choose one of them; data.positive_share is 0.01: it and "
            "loss.class_weights balanced both make up for rare classes: choose one of them; "
            "data.positive_share is 0.01: data.classes has 3, and only of two is one positive: "
            "write 0, or data.oversample; data.positive_share is 0.01: of data.batch_size 32 that "
            "is 0, rounded: write what makes 1 to 31",
        ),
        (
            Config(data=Data(positive_share=0.9, batch_size=4)),
            "data.positive_share is 0.9: of data.batch_size 4 that is 4, rounded: write what makes "
            "1 to 3",
        ),
        (Config(augment=Augment(gamma=-0.1)), "augment.gamma is -0.1, below 0"),
        (Config(augment=Augment(erase=1.5)), "augment.erase is 1.5, not in [0, 1)"),
        (Config(augment=Augment(test_views=0)), "augment.test_views is 0, below 1"),
        (Config(phases=()), "phases is (), empty: a run has one Phase at least"),
        (Config(phases=(Phase(), Phase(epochs=0))), "phases.1.epochs is 0, below 1"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_no_run_can_have_is_refused_by_itself(bad, message):
    with pytest.raises(InputError) as error:
        check(bad)
    assert str(error.value) == f"bad config: {message}"


@pytest.mark.parametrize(
    "fold", ["6/5", "0/5", "1/1", "2", "2/", "a/b", "02/5", "2/5 ", "-1/5", "", "=b", "source="]
)
def test_a_fold_that_there_is_not_is_refused(fold):
    with pytest.raises(InputError) as error:
        check(Config(data=Data(fold=fold)))
    expected = f"data.fold is {fold}, neither none nor like 2/5, the second of five folds"
    assert str(error.value) == f"bad config: {expected}, nor like source=clinic_b"


@pytest.mark.parametrize(
    "config",
    [
        Config(folds=2),
        Config(folds="source"),
        Config(data=Data(fold="source=clinic b")),
        Config(ensemble=Ensemble(members=2), data=Data(subset=1.0, fold="5/5")),
        Config(loss=Loss(focal_gamma=1.0, label_smoothing=0.0)),
        Config(loss=Loss(focal_gamma=0.0, label_smoothing=0.99)),
        Config(train=Train(plateau_factor=0.99, plateau_patience=1)),
        Config(sweep=Sweep((0.1,), seeds=2)),
        Config(sweep=Sweep((1.0, 0.5))),
        Config(data=Data(positive_share=0.02)),  # of 32
        Config(data=Data(positive_share=0.97)),
        Config(augment=Augment(test_views="dihedral", gamma=5.0, erase=0.99)),
    ],
    ids=lambda _: "",
)
def test_what_is_just_possible_is_taken(config):
    assert check(config) == config


@pytest.mark.parametrize("phases", [(Phase(), 20), [Phase()], Phase(), (Phase, Phase())])
def test_phases_that_are_no_phases_are_refused(phases):
    bad = Config()
    object.__setattr__(bad, "phases", phases)
    with pytest.raises(InputError, match=r"phases(\.\d)? is .*, not (Phase|tuple)"):
        check(bad)


def test_a_field_of_a_later_phase_is_named_with_its_number():
    bad = Config(phases=(Phase(), Phase()))
    object.__setattr__(bad.phases[1], "schedule", "one-cycle")
    with pytest.raises(InputError, match=r"phases.1.schedule is 'one-cycle'.*meant one_cycle"):
        check(bad)


def test_overrides_reach_every_phase(tmp_path):
    path = _file(tmp_path, "def get_config(): return Config(phases=(Phase(), Phase(epochs=9)))")
    config = load(path, ["--phases.1.learning-rate", "0.5", "--phases.0.cut", "head"])
    assert config.phases == (Phase(cut="head"), Phase(epochs=9, learning_rate=0.5))


@pytest.mark.parametrize("views", [4, "flip", "dihedral"])
def test_views_at_test_time_are_a_number_or_a_name(tmp_path, views):
    path = _file(tmp_path, "def get_config(): return Config()")
    config = load(path, ["--augment.test-views", str(views)])
    assert config.augment.test_views == views
    assert io.from_dict(json.loads(json.dumps(io.to_dict(config)))) == config


def test_views_that_there_are_not_are_refused(tmp_path):
    bad = Config()
    object.__setattr__(bad, "augment", Augment())
    object.__setattr__(bad.augment, "test_views", "flop")
    with pytest.raises(
        InputError, match=r"augment.test_views is 'flop', a str, not int or flip or dihedral"
    ):
        check(bad)
    with pytest.raises(SystemExit):
        load(_file(tmp_path, "def get_config(): return Config()"), ["--augment.test-views", "flop"])


def test_learning_rates_are_read_from_the_command_line(tmp_path):
    path = _file(tmp_path, "def get_config(): return Config()")
    flags = ["--sweep.learning-rates", "1e-3", "0.1", "--sweep.seeds", "2"]
    assert load(path, flags).sweep == Sweep((1e-3, 0.1), seeds=2)


def test_several_subsets_are_a_learning_curve_and_one_is_a_subset(tmp_path):
    path = _file(tmp_path, "def get_config(): return Config(data=Data(subset=0.7))")
    several = load(path, ["--data.subset", "0.1", "1", "0.5", "--data.batch-size", "4"])
    assert several == Config(
        data=Data(batch_size=4, subset=1.0), sweep=Sweep(subsets=(0.1, 1.0, 0.5))
    )
    for flags in (["--data.subset", "0.5"], ["--data.subset=0.5"]):
        assert load(path, [*flags, "--data.batch-size", "4"]) == Config(
            data=Data(batch_size=4, subset=0.5)
        )
    with pytest.raises(InputError, match=r"sweep.subsets.1 is -0.5, not above 0"):
        load(path, ["--data.subset", "0.1", "-0.5"])


def test_learning_rates_of_another_type_are_refused():
    bad = Config()
    object.__setattr__(bad.sweep, "learning_rates", (0.1, "x", True))
    with pytest.raises(
        InputError, match=r"rates.1 is 'x', a str, not float; .*rates.2 is True, a bool, not float"
    ):
        check(bad)


def test_several_phases_survive_json():
    config = Config(
        phases=(Phase(epochs=2, cut="head"), Phase(schedule="plateau"), Phase()),
        data=Data(filter=Path("runs/x"), fold="1/2", subset=0.5, oversample=True),
        loss=Loss(0.1, focal_gamma=2.0, class_weights="balanced", second_task=("region", "view")),
        ensemble=Ensemble(members=3),
        sweep=Sweep((1e-3, 0.1), seeds=2, subsets=(0.1, 1.0)),
    )
    again = io.from_dict(json.loads(json.dumps(io.to_dict(config))))
    assert again == config
    assert all(isinstance(phase, Phase) for phase in again.phases)


def test_a_phase_of_another_version_is_refused():
    values = io.to_dict(Config())
    values["phases"][0]["momentum"] = 0.9
    with pytest.raises(InputError, match=r"Phase has no field\(s\) \['momentum'\] and misses \[\]"):
        io.from_dict(values)


def test_a_config_of_another_version_is_refused():
    values = io.to_dict(Config())
    values["data"]["colour"] = 1
    del values["data"]["name"]
    with pytest.raises(InputError, match=r"no field\(s\) \['colour'\] and misses \['name'\]"):
        io.from_dict(values)


def test_differences_name_the_fields():
    other = dataclasses.replace(Config(), data=Data(batch_size=8))
    assert io.differences(Config(), other) == ["data.batch_size: 32 != 8"]


def test_differences_name_the_phase():
    ours = Config(phases=(Phase(), Phase(epochs=20)))
    theirs = Config(phases=(Phase(cut="head"), Phase(epochs=30)))
    assert io.differences(ours, theirs) == [
        "phases.0.cut: none != head",
        "phases.1.epochs: 20 != 30",
    ]
    assert io.differences(ours, ours) == []


def test_a_phase_that_only_one_config_has_is_a_difference():
    one, two = Config(), Config(phases=(Phase(), Phase(epochs=20, learning_rate=0.5, cut="head")))
    differences = io.differences(one, two)
    assert differences[:4] == [
        "phases.1.epochs: absent != 20",
        "phases.1.learning_rate: absent != 0.5",
        "phases.1.cut: absent != head",
        "phases.1.schedule: absent != constant",
    ]
    assert len(differences) == len(dataclasses.fields(Phase))
    assert io.differences(two, one)[0] == "phases.1.epochs: 20 != absent"


def test_two_cures_for_rare_classes_are_refused_together():
    bad = Config(data=Data(oversample=True), loss=config.Loss(class_weights="balanced"))
    with pytest.raises(InputError, match=r"both make up for rare classes"):
        check(bad)


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match=r"phases.0.learning_rate is inf, not a finite number"):
        check(Config(phases=(Phase(learning_rate=float("inf")),)))


def test_none_is_one_word_for_what_a_run_does_without(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(
        "from pathlib import Path\n"
        "from fracjax.config import *\n"
        "def get_config():\n"
        "    data = Data(filter=Path('runs/x'), fold='1/2')\n"
        "    return Config(data=data, model=Model(weights=Path('w.npz')))\n"
    )
    given = load(path)
    assert (given.data.filter, given.data.fold, given.model.weights) == (
        Path("runs/x"),
        "1/2",
        Path("w.npz"),
    )
    flags = ["--data.filter", "none", "--data.fold=none", "--model.weights", "none"]
    without = load(path, flags)
    assert (without.data.filter, without.data.fold, without.model.weights) == (None, None, None)
    assert io.differences(given, without)[0] == "data.filter: runs/x != none"
    # Checkpoints of earlier versions have the word where JSON has null.
    saved = io.to_dict(without)
    saved["data"]["fold"] = saved["model"]["weights"] = "none"
    assert io.from_dict(saved) == without


def test_of_a_file_with_several_configs_each_is_named_by_its_number(tmp_path):
    both = "Config(workdir=Path('a')), Config(workdir=Path('b'), train=Train(seed=1))"
    path = _file(tmp_path, f"from pathlib import Path\ndef get_config(): return {both}")
    assert io.each(path) == [f"{path}:1", f"{path}:2"]
    assert io.each(f"{path}:2") == [f"{path}:2"]
    assert io.each("stage1") == ["stage1"]
    second = load(f"{path}:2", ["--train.patience", "9"])
    assert (second.workdir, second.train.seed, second.train.patience) == (Path("b"), 1, 9)
    for name in (path, f"{path}:3"):
        with pytest.raises(InputError, match=r"has 2 config\(s\), .*: name one, .*:1 to .*:2; "):
            load(name)
    with pytest.raises(InputError, match=r"stage1 has 1 config\(s\), found stage1:2"):
        load("stage1:2")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("Config(), Config()", "share a workdir"),
        ("Config(), 3", "returned int, not a fracjax Config"),
        ("()", "returned tuple, not a fracjax Config"),
    ],
)
def test_several_configs_that_are_no_runs_are_refused(tmp_path, returned, message):
    with pytest.raises(InputError, match=message):
        io.each(_file(tmp_path, f"def get_config(): return {returned}"))


def test_a_packaged_config_is_found_by_its_name_and_a_file_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load("stage1") == load(Path("stage1.py")) == load(ROOT / "configs" / "stage1.py")
    _file(tmp_path, "def get_config(): return Config(folds=7)").rename(tmp_path / "stage1.py")
    assert load("stage1.py").folds == 7
    with pytest.raises(InputError, match=r"no config file stage9; .*are phantom_localise, "):
        load("stage9")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_config_of_the_house_is_complete_and_says_what_it_gave(path):
    text = path.read_text()
    assert "__file__" not in text
    assert len(text.splitlines()) <= 50  # a screen
    for word in (f"fracjax train --config {path.stem}", "\nPaper: §", "\nChanges", "\nGave: "):
        assert word in text, word


def test_fields_are_flags_on_a_command_line():
    message = "data.batch_size is 0; phases.1.learning_rate; data.fold of x.data.fold, folds"
    assert io.fields_as_flags(message) == (
        "--data.batch-size is 0; --phases.1.learning-rate; --data.fold of x.data.fold, folds"
    )
    assert io.fields_as_flags("write --data.image-size 32") == "write --data.image-size 32"


def test_a_seed_that_no_key_can_be_made_of_is_refused():
    check(Config(train=Train(seed=2**31 - 1)))
    with pytest.raises(InputError, match=r"train.seed is 2147483648: .* stay below 2,147,483,648"):
        check(Config(train=Train(seed=2**31)))
