"""Has the model seen the studies it is evaluated on? Looked for anew in every evaluation.

The split keeps groups of near duplicates whole. This audit does not take its word: it compares the
files themselves, and the images, across the parts.
"""

from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int, UInt8, UInt64
from threadpoolctl import threadpool_limits

from fracjax.datasets.cache_folder import cache_folder
from fracjax.datasets.duplicates import (
    BATCH,
    COLUMNS,
    HASH_DISTANCE,
    ROWS,
    close_pairs,
    fingerprint,
    nearest_turn,
    similarity_of,
)
from fracjax.datasets.fine_structure import (
    ROUNDING,
    UNDONE_BY,
    FineStructures,
    Views,
    fine_similarity,
)
from fracjax.datasets.prepared import Prepared
from fracjax.errors import DAMAGE, InputError
from fracjax.imaging.read import in_threads, open_image
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.npz_file import read_npz

_SHOWN = 20


@dataclass(frozen=True)
class Leakage:
    """What was compared, all of it clean: what is not clean is an error."""

    seen: str  # what the model has seen, such as "train and validation of fracatlas"
    evaluated: str  # what it is evaluated on
    n_seen: int  # studies
    n_evaluated: int
    # from which correlation of the fine structure two images are near duplicates; None where images
    # are drawn, and only files are compared.
    similarity: float | None
    # pairs of images whose perceptual hashes are close, and that were laid over each other
    compared: int
    nearest: float | None  # largest correlation among them; None without such a pair
    groups: bool = True  # both sides are of one dataset, whose groups were compared, too
    gone: str = ""  # why of what was seen the files alone could be compared; empty where it was all

    def __str__(self) -> str:
        kinds = {"near duplicate": self.similarity is not None, "group": self.groups}
        no = ["no file", *(f"no {kind}" for kind, compared in kinds.items() if compared)]
        found = " and ".join(filter(None, (", ".join(no[:-1]), no[-1])))
        seen = f"{self.n_seen} of {self.seen}"
        words = f"{self.n_evaluated} studies of {self.evaluated}: {found} in common with {seen}"
        return f"{words}; near duplicates not audited: {self.gone}" if self.gone else words


@dataclass(frozen=True)
class Studies:
    """Some studies of a prepared dataset."""

    what: str  # in words, for messages
    prepared: Prepared
    index: Int[np.ndarray, "n"]  # its records

    @property
    def names(self) -> list[str]:
        """Name of each study."""
        return self.prepared.study[self.index].tolist()


@dataclass(frozen=True)
class Gone:
    """Files that a model has seen, known by their digests alone."""

    what: str  # in words, for messages
    sha256: Set[str]
    why: str  # they are not at hand


Seen = Studies | Gone
"""What a model has seen."""


@dataclass(frozen=True)
class Comparison:
    """Studies to be predicted, laid against those that a model has seen."""

    # place among the evaluated studies, and in words what it shares with which of the seen ones
    shared: tuple[tuple[int, str], ...]
    similarity: float | None  # as of `Leakage`, these four
    compared: int
    nearest: float | None
    groups: bool


def compare_studies(seen: Seen, evaluated: Studies) -> Comparison:
    """Find each group (of one dataset), each file and each lookalike that is on both sides."""
    if isinstance(seen, Gone):
        files = evaluated.prepared.sha256[evaluated.index].tolist()
        copies = [
            (place, f"{name}: identical to a file of {seen.what}")
            for place, (file, name) in enumerate(zip(files, evaluated.names, strict=True))
            if file in seen.sha256
        ]
        return Comparison(tuple(copies), None, 0, None, groups=False)
    shared = _shared(seen, evaluated, "sha256", "identical files")
    groups = _versions_of_one(seen.prepared, evaluated.prepared)
    if groups:  # they are named within their dataset
        shared = _shared(seen, evaluated, "group", "of one group") + shared
    one, other = (similarity_of(it.prepared.name) for it in (seen, evaluated))
    # The larger of two: what tells figures of the web apart would join any two hands.
    similarity = None if one is None or other is None else max(one, other)
    compared, nearest = 0, None
    if similarity is not None:
        pairs, compared = _lookalikes(seen, evaluated, similarity)
        nearest = max((c for *_, c in pairs), default=None)
        shared += [
            (b, f"{evaluated.names[b]} and {seen.names[a]}: near duplicates, correlation {c:.2f}")
            for a, b, c in pairs
            if c >= similarity
        ]
    return Comparison(tuple(shared), similarity, compared, nearest, groups)


def audit_leakage(
    seen: Seen,
    evaluated: Studies,
    way_out: str = "Prepare the dataset again, and train again",
) -> Leakage:
    """Compare what a model was fitted or chosen on (by validation) with what is to be predicted.

    Refused, all pairs named, with the `way_out`, if a group (of one dataset), a file or a lookalike
    is on both sides.
    """
    found = compare_studies(seen, evaluated)
    if problems := [words for _, words in found.shared]:
        shown = "\n".join(f"- {problem}" for problem in problems[:_SHOWN])
        more = f"\nand {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputError(
            f"leakage: {len(problems)} pair(s) of {evaluated.what} and {seen.what} are the same or "
            f"nearly so, and figures on them would be too good; no figure was made. {way_out}\n"
            f"{shown}{more}"
        )
    n, gone = (len(seen.sha256), seen.why) if isinstance(seen, Gone) else (len(seen.index), "")
    counts, how = (n, len(evaluated.index)), (found.similarity, found.compared, found.nearest)
    return Leakage(seen.what, evaluated.what, *counts, *how, groups=found.groups, gone=gone)


def leave_out_seen(seen: Seen, evaluated: Studies) -> tuple[Studies, dict[str, str]]:
    """The evaluated studies of groups that share nothing with the seen ones.

    And of each other one why it is left out: what it shares, or that one of its group does.
    """
    why: dict[int, str] = {}
    for place, words in compare_studies(seen, evaluated).shared:
        why.setdefault(place, words)
    group = evaluated.prepared.group[evaluated.index]
    mates = np.flatnonzero(np.isin(group, group[list(why)])).tolist()
    names = evaluated.names
    gone = {names[i]: why.get(i, f"{names[i]}: of a group with one of these") for i in mates}
    return replace(evaluated, index=np.delete(evaluated.index, np.array(mates, int))), gone


def _versions_of_one(one: Prepared, other: Prepared) -> bool:
    """Whether two are one dataset, or two preparations of one: of one name, with a file in both."""
    here = one.directory.resolve() == other.directory.resolve()
    return here or (one.name == other.name and bool(np.intersect1d(one.sha256, other.sha256).size))


def _shared(seen: Studies, evaluated: Studies, column: str, why: str) -> list[tuple[int, str]]:
    """Place of every evaluated study whose `column` is also that of a seen one, and a line."""
    ours, theirs = (getattr(it.prepared, column)[it.index].tolist() for it in (seen, evaluated))
    first = {key: name for key, name in reversed(list(zip(ours, seen.names, strict=True)))}
    return [
        (place, f"{name} and {first[key]}: {why}")
        for place, (key, name) in enumerate(zip(theirs, evaluated.names, strict=True))
        if key in first
    ]


def _lookalikes(
    seen: Studies, evaluated: Studies, similarity: float
) -> tuple[list[tuple[int, int, float]], int]:
    """Places and correlation of the pairs that are alike, and of the nearest ones.

    And how many pairs were compared: those whose hashes are close.
    """
    kept = [[of[it.index] for of in fingerprints(it.prepared)] for it in (seen, evaluated)]
    (ours, our_thumbnails), (theirs, their_thumbnails) = kept
    both, offset = np.concatenate([our_thumbnails, their_thumbnails]), len(ours)
    structures = FineStructures(their_thumbnails, f"Fine structure of {evaluated.what}")
    turns = np.ascontiguousarray(theirs.T)
    found: list[tuple[int, int, float]] = []
    nearest = -1.0  # of the pairs so far, or a little less

    def compare(start: int) -> int:
        nonlocal nearest
        here = ours[start : start + ROWS]
        views = Views(our_thumbnails[start : start + ROWS])
        compared = 0
        for first in range(0, len(theirs), COLUMNS):
            i, j = close_pairs(here[:, 0], turns[:, first : first + COLUMNS])
            j += first
            # A hash is not quite the same after a turn. A copy is one from either side; what is one
            # from a single side only, the preparation may have looked at from the other, and let
            # pass.
            back, bits = nearest_turn(theirs[j, 0], here[i])
            mutual = np.stack([i, j, back])[:, bits <= HASH_DISTANCE]
            compared += mutual.shape[1]
            for begin in range(0, mutual.shape[1], BATCH):
                i, j, back = mutual[:, begin : begin + BATCH]
                turn, _ = nearest_turn(here[i, 0], theirs[j])
                wanted = min(similarity, nearest)
                may, about = structures.may_reach(wanted, views, i, UNDONE_BY[turn], j)
                i, j, turn, back = i[may], j[may], turn[may], back[may]
                may, about_back = structures.may_reach(wanted, views, i, back, j)
                about = np.minimum(about[may], about_back)
                nearest = max(nearest, float(about.max(initial=-1)) - ROUNDING)
                may = may[about >= min(similarity, nearest) - ROUNDING]
                i, j = i[may] + start, j[may]
                there = fine_similarity(both, i, j + offset, turn[may])
                alike = np.minimum(there, fine_similarity(both, j + offset, i, back[may]))
                found.extend(zip(i.tolist(), j.tolist(), alike.tolist(), strict=True))
        return compared

    with threadpool_limits(1, "blas"):  # all cores have a thread of ours
        compared = in_threads(compare, range(0, len(ours), ROWS), "Looking for near duplicates")
    return sorted(found), sum(compared)


def fingerprints(
    prepared: Prepared,
) -> tuple[UInt64[np.ndarray, "n 8"], UInt8[np.ndarray, "n 64 64"]]:
    """Perceptual hashes and thumbnail of every record, computed once and kept.

    They are made from the records and not taken over from the preparation, so that an audit does
    not rest on what it is to check; of each file by its own values, whatever the depth of its
    dataset, so that copies in two datasets are alike. InputError where the kept file is damaged.
    """

    def of_record(index: int) -> tuple[np.ndarray, np.ndarray]:
        upright = open_image(prepared.image_bytes(index), grey=True).upright()
        return fingerprint(np.asarray(upright))

    path = cache_folder(prepared, "fingerprints.npz") / "fingerprints.npz"
    if not path.exists():
        prepared.open_images()
        what = f"Fingerprints of {prepared.name}, for the leakage audit"
        hashes, thumbnails = zip(*in_threads(of_record, range(len(prepared)), what), strict=True)
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, hashes=np.stack(hashes), thumbnails=np.stack(thumbnails))
    try:
        kept = read_npz(path)
        hashes, thumbnails = kept["hashes"], kept["thumbnails"]
        if len(hashes) != len(prepared):
            raise ValueError(f"of {len(hashes)} records, not {len(prepared)}")
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({error}); delete it and run again") from error
    return hashes, thumbnails
