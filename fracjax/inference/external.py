"""Another dataset than that of a run's training, for the run to be tested on."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from fracjax.config.class_names import as_known, flag_words, role_of, roles, says_the_opposite
from fracjax.datasets.labelled_folder import open_labelled, split_of
from fracjax.datasets.leakage import Leakage, Studies, audit_leakage, leave_out_seen
from fracjax.datasets.prepared import (
    MANIFEST,
    SPLITS,
    Prepared,
    open_prepared,
)
from fracjax.datasets.splits import Split
from fracjax.errors import InputError
from fracjax.inference.external_notes import (
    absent_classes_note,
    depths_note,
    shared_values_note,
    test_files_note,
)
from fracjax.inference.trained_dataset import open_as_trained
from fracjax.loading.dataset_view import Dataset, seen_studies
from fracjax.runtime.multihost import check_same_on_all_hosts
from fracjax.training import starting_run
from fracjax.training.checkpoint import CheckpointMetadata

EXTERNAL_PARTS = ("all", "validation", "test")
"""What may be evaluated of another dataset: all of its studies, or a part of its own split."""


@dataclass(frozen=True)
class External:
    """A dataset that a run was not trained on, and what the audit found."""

    path: Path  # the prepared dataset, or the folder of labelled images
    part: str  # of it, one of `EXTERNAL_PARTS`
    trained: Dataset | None  # what the run was trained on; of folds, without them; None if gone
    dataset: Dataset  # the other one; the studies to evaluate are its test part, and no others are
    # the audits of these against training and validation, of the run and of those it started from
    leakage: tuple[Leakage, ...]
    left_out: dict[str, str]  # studies that are left out since they were seen -> why
    notes: tuple[str, ...]  # what a careful reader should know besides
    gone: str  # why what the run was trained on is not at hand; empty where it is

    @property
    def name(self) -> str:
        """What it is called, with its part if it is not all of it."""
        name = self.dataset.prepared.name
        return name if self.part == "all" else f"{self.part} of {name}"

    @property
    def folder_name(self) -> str:
        """Of the folder that an evaluation on it is written to."""
        name = f"on_{self.path.absolute().name}"
        return name if self.part == "all" else f"{name}_{self.part}"


def open_external(
    on: Path,
    part: str,
    classes: Sequence[str],
    meta: CheckpointMetadata,
    *,
    data_dir: Path | None = None,
    leave_out: bool = False,
) -> External:
    """Open it, match its classes to those of the run, and look for studies that the run has seen.

    `on` is the name of a dataset in `data_dir` (by default the config's), the path of one, or a
    folder or zip with one folder per class. `classes` are the names there of the run's classes, in
    their order; empty where they have the same names. A class may have no study there, unless
    another one there stands for none. `leave_out` leaves out the groups of what the run has seen;
    otherwise it is an error.

    Raises:
      InputError: nothing there, the run's own dataset, classes that do not match, studies that have
        leaked.
    """
    data = dataclasses.replace(meta.config.data, fold=None)
    trained, gone = _open_trained(meta, data_dir)
    path, run = _find(on, data_dir or data.dir), str(meta.config.workdir)
    if trained and path.resolve() == trained.prepared.directory.resolve():
        raise InputError(
            f"--on {on} is the dataset that the run was trained on: leave --on out and write "
            "--split test for the studies that were kept apart"
        )
    choose = partial(match_classes, classes, meta.classes, what=f"--on {on}")
    others: list[str] = []
    if _is_prepared(path):
        prepared = open_prepared(path.name, path.parent)
        split = Split.load(prepared.directory / SPLITS)
        split.check(prepared)
        chosen = choose(prepared.classes, in_roles=True)
    else:
        named = classes or meta.classes
        prepared, split, chosen, others = _labelled(path, on, part, named, choose, meta.depth)
    facts = "\n".join([*prepared.sha256.tolist(), *map(str, prepared.label.tolist())])
    check_same_on_all_hosts({f"the studies of {on}": facts})
    view = Dataset(dataclasses.replace(data, name=prepared.name, classes=chosen), prepared, split)
    index = np.arange(len(prepared)) if part == "all" else split.indices(prepared, part)
    known = view.labels(index) >= 0
    _refuse_none(index[known], f"{part} of {on}")
    seen = seen_studies(meta.config, meta.seen_files, ("train", "validation"), data_dir)
    evaluated = Studies(f"{part} of {prepared.name}", prepared, index[known])
    left_out: dict[str, str] = {}
    if leave_out:
        starts = (starting_run.seen_by(start, "test", data_dir) for start in meta.started_from)
        for theirs in (*seen, *itertools.chain(*starts)):
            evaluated, out = leave_out_seen(theirs, evaluated)
            left_out |= out
        what = f"what is left of --on {on} without the studies that {run} has seen"
        _refuse_none(evaluated.index, what)
    way_out = "Write --leave-out-seen to evaluate the others"
    own = [audit_leakage(one, evaluated, way_out) for one in seen]
    names = set(evaluated.names)
    part_of = {s: "test" if s in names else "left out" for s in prepared.study.tolist()}
    dataset = dataclasses.replace(view, split=split_of(prepared, part_of))
    of_starts = starting_run.audit(meta.started_from, dataset, "test", data_dir, way_out)
    unread = f"Folders of no class of the run were not read: {', '.join(others)}." if others else ""
    notes = [unread, depths_note(meta, evaluated), absent_classes_note(view, evaluated)]
    if trained is None:
        notes.append(
            f"{data.name} is not at hand as the run was trained on it, so drift was not measured "
            f"({gone})."
        )
    else:
        notes += [test_files_note(trained, evaluated), shared_values_note(trained, evaluated)]
    said = tuple(filter(None, notes))
    return External(path, part, trained, dataset, (*own, *of_starts), left_out, said, gone)


def _open_trained(meta: CheckpointMetadata, data_dir: Path | None) -> tuple[Dataset | None, str]:
    """What a run was trained on, without folds; or None, and why it is not at hand."""
    try:
        opened = open_as_trained(meta, data_dir)
    except InputError as error:
        return None, str(error)
    return dataclasses.replace(opened, data=dataclasses.replace(opened.data, fold=None)), ""


def match_classes(
    asked: Sequence[str],
    run: Sequence[str],
    known: Sequence[str],
    *,
    what: str,
    in_roles: bool = False,
) -> tuple[str, ...]:
    """Names in a dataset of the classes of a run, in the order of the run, by name alone.

    `asked` are the names that a user gives them, none where they have the same ones; `known` are
    all that are there, with `in_roles` those of two classes the negative one first.

    Raises:
      InputError: a name that is not there, too few of them, the negative one called as a positive
        one is.
    """
    of_run = roles(run) or ", ".join(run)
    if asked and len(asked) != len(run):
        raise InputError(
            f"--classes names {len(asked)}, and the run has {len(run)} classes: {of_run}; name "
            f"what stands for each, in this order, of {flag_words(known)}"
        )
    found = as_known(asked or run, known)
    names = dict(zip(asked or run, found, strict=True))
    chosen = tuple(meant or name for name, meant in names.items())
    absent = [repr(name) for name, meant in names.items() if meant is None]
    # A class of which there is none is not called otherwise, if all that are there have a role.
    if absent and (not known or not set(known) <= set(chosen)):
        there = roles(known) if in_roles and len(known) == 2 else ", ".join(map(repr, known))
        raise InputError(
            f"{what}: there is no class {', '.join(absent)}; it has {there or 'none'}, and the run "
            f"{of_run}. Name what stands for each class of the run, in this order: --classes "
            f"{_suggested(found, run, known, in_roles=in_roles)}"
        )
    if len(set(chosen)) < len(chosen):
        raise InputError(f"--classes {flag_words(asked)}: a class is named twice")
    if says_the_opposite(chosen):
        raise InputError(
            f"--classes {flag_words(asked)}: {roles(chosen)} is the opposite of what the names "
            f"say: write --classes {flag_words(chosen[::-1])}, or rename the classes"
        )
    if in_roles and len(run) == 2 and tuple(known) == chosen[::-1]:
        raise InputError(
            f"{what} was prepared with {roles(known)}, and for the run, which has {of_run}, it "
            f"would be {roles(chosen)}: prepare it again with --classes {flag_words(chosen)}"
        )
    return chosen


def _suggested(
    found: Sequence[str | None], run: Sequence[str], known: Sequence[str], *, in_roles: bool
) -> str:
    """What to type, as far as names and roles say it; never by the order of the alphabet."""
    if len(run) == 2:
        if in_roles and len(known) == 2:
            return flag_words(known)
        by_role = [[n for n in known if role_of(n) == role] for role in ("negative", "positive")]
        if all(len(names) == 1 for names in by_role):
            return flag_words(name for names in by_role for name in names)
        return "NEGATIVE POSITIVE"
    return flag_words(name or f"NAME_OF_{c.upper()}" for name, c in zip(found, run, strict=True))


def _find(on: Path, data_dir: Path) -> Path:
    named = data_dir / on
    if _is_prepared(named) and on.exists() and on.resolve() != named.resolve():
        raise InputError(
            f"--on {on} is the prepared dataset {named}, and there is {on.absolute()}, too: write "
            "the one that you mean"
        )
    if _is_prepared(named) or (named.exists() and not on.exists()):
        return named
    if not on.exists():
        there = sorted(path.name for path in data_dir.glob("*") if _is_prepared(path))
        raise InputError(
            f"--on {on}: there is no prepared dataset of that name in {data_dir} (there are: "
            f"{', '.join(there) or 'none'}), and no such folder or zip; name one of them, or a "
            "folder with one folder per class"
        )
    return on


def _is_prepared(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _labelled(
    path: Path,
    on: Path,
    part: str,
    named: Sequence[str],
    choose: partial[tuple[str, ...]],
    depth: int | None,
) -> tuple[Prepared, Split, tuple[str, ...], list[str]]:
    """The folder, the names there of the run's classes, and those of classes that are not taken."""
    found: list[str] = []

    chosen: tuple[str, ...] = ()

    def noting(known: Sequence[str]) -> tuple[str, ...]:
        nonlocal chosen
        chosen = choose(known)
        found.extend(name for name in known if name not in chosen)
        return tuple(name for name in chosen if name in known)

    try:
        prepared, split = open_labelled(path, named, noting, depth)
    except InputError as error:  # to prepare a folder its flag is --source
        raise InputError(str(error).replace(f"--source {path}", f"--on {on}")) from error
    if part != "all" and set(split.assignment.values()) == {"test"}:
        raise InputError(
            f"--on {on} has no parts: leave --split out for all of its studies, or prepare it "
            "(`fracjax prepare folder`), which splits it"
        )
    return prepared, split, chosen, found


def _refuse_none(index: Int[np.ndarray, " n"], what: str) -> None:
    if not index.size:
        raise InputError(
            f"{what} has no study of a class of the run: name a dataset, or a part, that has"
        )
