"""Groups of near-duplicate images: copies, re-exports, flips, rotations, slight crops.

Two stages. A perceptual hash (pHash, 64 bit, over the eight flips and rotations) proposes pairs;
it alone would chain hundreds of lookalike hands into one group. Then the two thumbnails are laid
over each other and their fine structure (local contrast, not the grey of a limb on black) must
agree. Pairs that pass are joined by union-find.
"""

import hashlib
from collections.abc import Hashable, Sequence
from threading import Lock

import imagehash
import numpy as np
from jaxtyping import Int, UInt8, UInt64
from PIL import Image
from threadpoolctl import threadpool_limits

from fracjax.datasets.fine_structure import (
    THUMBNAIL,
    UNDONE_BY,
    FineStructures,
    Views,
    dihedral,
    fine_similarity,
)
from fracjax.imaging.read import in_threads

HASH_DISTANCE = 16  # bits of 64 that may differ for a pair to be looked at
ROWS, COLUMNS = 64, 4096  # hashes compared at a time, with each other: what a cache holds
BATCH = 1024  # near pairs that are laid over each other at a time
# From which correlation of the fine structure two images of a dataset count as one.
_SIMILARITY = {
    # One detector, one protocol. Copies correlate above 0.9, retakes and other exposures of one
    # limb from 0.65 to 0.85, hands of two people up to 0.7 and rarely more: so a few lookalikes are
    # joined too (no group has more than six), which costs nothing; a copy in two parts would be a
    # leak.
    "fracatlas": 0.65,
    # Figures from all over the web: unrelated ones correlate below 0.3, crops and re-exports above.
    "bone_break": 0.35,
    # Every limb is drawn anew: two that look alike are still two.
    "phantom": None,
    "phantom_types": None,
}
_OF_A_CLINIC = 0.65  # a user's own images look alike as those of FracAtlas do


def similarity_of(dataset: str) -> float | None:
    """From which correlation two images of a dataset are near duplicates; None: none are."""
    return _SIMILARITY.get(dataset, _OF_A_CLINIC)


def fingerprint(
    grey: UInt8[np.ndarray, "h w"],
) -> tuple[UInt64[np.ndarray, "8"], UInt8[np.ndarray, "64 64"]]:
    """Perceptual hashes of an image and of its seven flips and rotations, and its thumbnail."""
    small = Image.fromarray(grey).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    thumbnail = np.asarray(small)
    hashes = [imagehash.phash(Image.fromarray(view)) for view in dihedral(thumbnail)]
    return np.array([int(str(value), 16) for value in hashes], np.uint64), thumbnail


def near_duplicate_groups(
    hashes: UInt64[np.ndarray, "n 8"],
    thumbnails: UInt8[np.ndarray, "n side side"],
    *,
    similarity: float | None,
    links: Sequence[Sequence[Hashable]] = (),
) -> Int[np.ndarray, "n"]:
    """For each image, by its `fingerprint`, the index of the first image of its group.

    `similarity` is the smallest correlation of the fine structure, above 0 and up to 1, that joins
    a pair; with None none is joined for its looks.
    Images that share one of their `links` are joined, alike or not.
    """
    groups = _Groups(len(hashes))
    seen: dict[Hashable, int] = {}
    for index, keys in enumerate(links):
        for key in keys:
            groups.join(index, seen.setdefault(key, index))
    if similarity is not None:
        _join_lookalikes(groups, hashes, thumbnails, similarity)
    return groups.firsts()


def _join_lookalikes(
    groups: "_Groups",
    hashes: UInt64[np.ndarray, "n 8"],
    thumbnails: UInt8[np.ndarray, "n side side"],
    similarity: float,
) -> None:
    """Join each pair that is alike, unless it is of one group already."""
    structures = FineStructures(thumbnails, "Fine structure of every image")
    copies: dict[bytes, list[int]] = {}  # what has one fingerprint is compared once
    for index in np.flatnonzero(structures.norm > 0.5).tolist():  # a blank image is like none
        both = hashes[index].tobytes() + thumbnails[index].tobytes()
        copies.setdefault(hashlib.sha256(both).digest(), []).append(index)
    for first, *others in copies.values():
        for other in others:
            groups.join(first, other)
    # A pair's first image is compared with the turns of its second one: an image with those of
    # all that come after it, and those of one with copies with all that come before the last copy.
    ours = np.array([same[0] for same in copies.values()], np.int64)
    first, last = np.array(
        [(same[0], same[-1]) for same in copies.values() if len(same) > 1], np.int64
    ).reshape(-1, 2).T  # fmt: skip
    theirs = np.concatenate([ours, first])
    after, before = np.concatenate([np.full(len(ours), -1), first]), np.concatenate([ours, last])
    turns = np.ascontiguousarray(hashes[theirs].T)

    def compare(start: int) -> None:
        rows = ours[start : start + ROWS]
        views = Views(thumbnails[rows])
        for begin in range(0, len(theirs), COLUMNS):
            part = slice(begin, begin + COLUMNS)
            if rows[0] >= before[part].max() or rows[-1] <= after[part].min():
                continue
            i, j = close_pairs(hashes[rows, 0], turns[:, part])
            a, b = rows[i], theirs[part][j]
            pairs = np.stack([i, a, b])[:, (after[part][j] < a) & (a < before[part][j])]
            while (pairs := pairs[:, groups.of[pairs[1]] != groups.of[pairs[2]]]).size:
                (i, a, b), pairs = pairs[:, :BATCH], pairs[:, BATCH:]
                turn, _ = nearest_turn(hashes[a, 0], hashes[b])
                may, _ = structures.may_reach(similarity, views, i, UNDONE_BY[turn], b)
                a, b = a[may], b[may]
                alike = fine_similarity(thumbnails, a, b, turn[may]) >= similarity
                for one, other in zip(a[alike].tolist(), b[alike].tolist(), strict=True):
                    groups.join(one, other)

    with threadpool_limits(1, "blas"):  # all cores have a thread of ours
        in_threads(compare, range(0, len(ours), ROWS), "Looking for near duplicates")


class _Groups:
    """Which images belong together so far; threads may join some while others read `of`."""

    def __init__(self, n: int):
        self.of = np.arange(n)  # of each image the name of its group
        self._members = {name: [name] for name in range(n)}
        self._lock = Lock()

    def join(self, one: int, other: int) -> None:
        """Make one group of those of two images."""
        with self._lock:
            a, b = self.of[one].item(), self.of[other].item()
            if a == b:
                return
            # The smaller is renamed, so that no image is more than log2(n) times.
            a, b = sorted((a, b), key=lambda name: len(self._members[name]))
            gone = self._members.pop(a)
            self.of[gone] = b
            self._members[b] += gone

    def firsts(self) -> Int[np.ndarray, "n"]:
        """Of each image the first one of its group."""
        firsts = np.empty_like(self.of)
        for members in self._members.values():
            firsts[members] = min(members)
        return firsts


def close_pairs(
    ours: UInt64[np.ndarray, "n"], turns: UInt64[np.ndarray, "8 m"]
) -> tuple[Int[np.ndarray, "p"], Int[np.ndarray, "p"]]:
    """Pairs i of ours, j of theirs, of which some turn of j is within `HASH_DISTANCE` of i."""
    least = np.bitwise_count(ours[:, None] ^ turns[0])
    for turn in turns[1:]:
        np.minimum(least, np.bitwise_count(ours[:, None] ^ turn), out=least)
    i, j = np.nonzero(least <= HASH_DISTANCE)
    return i, j


def nearest_turn(
    ours: UInt64[np.ndarray, "p"], theirs: UInt64[np.ndarray, "p 8"]
) -> tuple[Int[np.ndarray, "p"], UInt8[np.ndarray, "p"]]:
    """Of each pair, which turn of theirs is nearest to ours, and the bits that differ."""
    distance = np.bitwise_count(ours[:, None] ^ theirs)
    return distance.argmin(axis=1), distance.min(axis=1)
