"""Which study goes to which part: drawn anew, given by the source, or kept from before."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from fracjax.datasets.columns import some
from fracjax.datasets.folds import groups_of_class, stratified
from fracjax.datasets.request import FRACTIONS
from fracjax.datasets.splits import PARTS, Split, refuse_leaks
from fracjax.errors import InputError

_FOLDS = 20  # 14 + 3 + 3 of them are 70/15/15 exactly; each other fraction is met within 2.5 %
_COUNT = {1: "one", 2: "two", 3: "three"}
_OF_GIVEN = (
    "move each whole into one part, leave its copies out, or write --new-split in place of it for "
    "a split that keeps them together"
)
_OF_KEPT = "leave out the new images that join them, or write --replace --new-split"


def make_split(
    study: Sequence[str],
    label: Sequence[str],
    group: Sequence[str],
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    given: Mapping[str, str] | None = None,
    kept: Mapping[str, str] | None = None,
) -> Split:
    """Split studies, which have unique names, by group, stratified by label.

    The parts are runs of the folds of scikit-learn's StratifiedGroupKFold, which keeps groups whole
    and classes balanced: 20, or as many as the rarest class has groups. The seed shuffles the
    groups. With `given` every study has its part already, but for those of train where a part is
    given to none: that is cut from train. Studies of `kept` stay where they are, and each other
    group goes to the part that lacks most of its classes.

    Raises:
      InputError: bad fractions, a class with fewer than three groups or absent from a part, a group
        that lies in two of the parts that are given or kept.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"--fractions {' '.join(map(str, fractions))}: expected three numbers above 0 that "
            f"add up to 1 (train, validation, test), such as 0.7 0.15 0.15"
        )
    if repeated := [name for name, times in Counter(study).items() if times > 1]:
        raise InputError(f"studies are duplicated: {some(repeated)}")
    group_of, given = dict(zip(study, group, strict=True)), given or {}
    refuse_leaks(given, group_of, "the given split leaks", _OF_GIVEN)
    may_be = open_to(given)
    options = {name: may_be[given.get(name, "")] for name in study}
    fixed = {name: parts[0] for name, parts in options.items() if len(parts) == 1}
    fixed |= kept or {}
    refuse_leaks(fixed, group_of, "what is there and what is new leak", _OF_KEPT)
    part_of_group = {group_of[name]: part for name, part in fixed.items()}
    free = [i for i, its in enumerate(group) if its not in part_of_group]
    if free:
        parts = options[study[free[0]]]
        if kept:
            part_of_group |= _added(label, group, part_of_group, parts, fractions, seed)
        else:
            own = [label[i] for i in free], [group[i] for i in free]
            part_of_group |= _cut(*own, parts, fractions, seed)
    assignment = {name: part_of_group[its] for name, its in group_of.items()}
    counted = Counter((assignment[s], name) for s, name in zip(study, label, strict=True))
    classes = sorted(set(label))
    counts = {part: {name: counted[part, name] for name in classes} for part in PARTS}
    absent = [f"{name} from {part}" for part in PARTS for name, n in counts[part].items() if not n]
    if absent:
        raise InputError(
            f"a class is absent: {', '.join(absent)}; add studies of it, leave the class out, "
            f"try another --seed or larger --fractions (now {fractions})"
        )
    return Split(assignment, group_of, seed, fractions, counts)


def open_to(given: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The parts that a study may be put in, by the part that the source gives it, "" for none."""
    absent = [part for part in PARTS if part not in given.values()]
    return {"": PARTS, **{part: (part,) for part in PARTS}, "train": ("train", *absent)}


def _cut(
    label: Sequence[str],
    group: Sequence[str],
    parts: Sequence[str],
    fractions: Sequence[float],
    seed: int,
) -> dict[str, str]:
    """Group -> one of the parts, which have their fractions of every class."""
    groups = groups_of_class(label, group)
    fewest = len(parts)
    if scarce := [f"{name} has {n}" for name, n in sorted(groups.items()) if n < fewest]:
        raise InputError(
            f"too few groups to have one in each of {_COUNT[fewest]} parts: "
            f"{', '.join(scarce)}; add studies or leave the class out"
        )
    own = [fractions[PARTS.index(part)] for part in parts]
    folds = _folds_of_part([one / sum(own) for one in own], min(_FOLDS, *groups.values()))
    part_of_fold = np.repeat(parts, folds)
    cut = stratified(label, group, part_of_fold.size, seed)
    return {
        group[int(i)]: part
        for part, (_, members) in zip(part_of_fold.tolist(), cut, strict=True)
        for i in members
    }


def _added(
    label: Sequence[str],
    group: Sequence[str],
    part_of_group: Mapping[str, str],
    parts: Sequence[str],
    fractions: Sequence[float],
    seed: int,
) -> dict[str, str]:
    """Group -> part, of the groups that have none: where most of their classes is lacking.

    The largest come first, those of a size in an order of the seed.
    """
    own = np.array([fractions[PARTS.index(part)] for part in parts])
    own /= own.sum()
    classes = sorted(set(label))
    sizes: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(classes)))
    for name, its in zip(label, group, strict=True):
        sizes[its][classes.index(name)] += 1
    names = sorted(sizes.keys() - part_of_group.keys())
    names = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    there = np.zeros((len(parts), len(classes)))
    for its, part in part_of_group.items():
        if part in parts:
            there[parts.index(part)] += sizes[its]
    total = there.sum(axis=0) + sum(sizes[name] for name in names)
    chosen = {}
    for name in sorted(names, key=lambda name: -sizes[name].sum()):
        lacking = (own[:, None] * total - there) @ (sizes[name] / total.clip(1)) / own
        place = int(lacking.argmax())
        there[place] += sizes[name]
        chosen[name] = parts[place]
    return chosen


def _folds_of_part(fractions: Sequence[float], folds: int) -> list[int]:
    """Folds for each part, at least one, nearest to the fractions (largest remainder)."""
    exact = np.array(fractions) * folds
    given = np.maximum(1, (exact + 1e-9).astype(int))
    while given.sum() < folds:
        given[np.argmax(exact - given)] += 1
    while given.sum() > folds:
        given[np.argmax(np.where(given > 1, given - exact, -np.inf))] -= 1
    return given.tolist()
