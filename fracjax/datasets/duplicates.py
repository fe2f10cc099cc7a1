"""Groups of near-duplicate images: copies, re-exports, flips, rotations, slight crops.

Two stages. A perceptual hash (pHash, 64 bit, over the eight flips and rotations) proposes pairs;
it alone would chain hundreds of lookalike hands into one group. Then the two thumbnails are laid
over each other and their fine structure (local contrast, not the grey of a limb on black) must
agree. Pairs that pass are joined by union-find.
"""

from collections.abc import Hashable, Sequence

import imagehash
import numpy as np
import scipy
from jaxtyping import Float32, Int, Shaped, UInt8, UInt64
from PIL import Image

THUMBNAIL = 64  # pixels a side; what perceptual hash and alignment see
HASH_DISTANCE = 16  # bits of 64 that may differ for a pair to be looked at
_MARGIN = 6  # thumbnail pixels left out at each border: film edges and letter boxes look alike
_SHIFT = 4  # thumbnail pixels that a copy may be moved (a crop moves it)
_BATCH = 2048
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


def dihedral(square: Shaped[np.ndarray, "*b h w"]) -> list[np.ndarray]:
    """The eight flips and rotations (D4) of an array's last two axes."""
    turns = [np.rot90(square, k, axes=(-2, -1)) for k in range(4)]
    return turns + [np.swapaxes(turn, -2, -1) for turn in turns]


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

    `similarity` is the smallest correlation of the fine structure, 0 to 1, that joins a pair; with
    None none is joined for its looks.
    Images that share one of their `links` are joined, alike or not.
    """
    joined = scipy.cluster.hierarchy.DisjointSet(range(len(hashes)))
    if similarity is not None:
        pairs = candidates_between(hashes, hashes)
        first, second, turn = pairs[:, pairs[0] < pairs[1]]
        alike = fine_similarity(thumbnails, first, second, turn) >= similarity
        for a, b in zip(first[alike].tolist(), second[alike].tolist(), strict=True):
            joined.merge(a, b)
    seen: dict[Hashable, int] = {}
    for index, keys in enumerate(links):
        for key in keys:
            joined.merge(index, seen.setdefault(key, index))
    groups = np.arange(len(hashes))
    for members in joined.subsets():
        groups[list(members)] = min(members)
    return groups


def candidates_between(
    ours: UInt64[np.ndarray, "n 8"], theirs: UInt64[np.ndarray, "m 8"]
) -> Int[np.ndarray, "3 p"]:
    """Pairs i of ours, j of theirs within `HASH_DISTANCE`, and which turn of j is nearest to i."""
    parts = [np.zeros((3, 0), np.int64)]
    turns = np.ascontiguousarray(theirs.T)
    for start in range(0, len(ours), 64):  # which the cache holds, as it would not all turns
        here = ours[start : start + 64, :1]
        least = np.bitwise_count(here ^ turns[0])
        for turn in turns[1:]:
            np.minimum(least, np.bitwise_count(here ^ turn), out=least)
        i, j = np.nonzero(least <= HASH_DISTANCE)
        nearest = np.bitwise_count(here[i] ^ theirs[j]).argmin(axis=-1)
        parts.append(np.stack([i + start, j, nearest]))
    return np.concatenate(parts, axis=1)


def fine_similarity(
    thumbnails: UInt8[np.ndarray, "n side side"],
    first: Int[np.ndarray, "m"],
    second: Int[np.ndarray, "m"],
    turn: Int[np.ndarray, "m"],
) -> Float32[np.ndarray, "m"]:
    """Correlation of the fine structure of each pair, at the best of the small shifts.

    1 for a copy; about 0.1 for unrelated images, up to about 0.7 for two hands on one detector.
    """
    structure = _fine_structure(thumbnails)
    views = dihedral(structure)
    size = structure.shape[-1]
    shifts = np.r_[0 : _SHIFT + 1, -_SHIFT:0]
    result = np.zeros(len(first), np.float32)
    for start in range(0, len(first), _BATCH):
        part = slice(start, start + _BATCH)
        one = structure[first[part]]
        other = np.stack([views[t][j] for t, j in zip(turn[part], second[part], strict=True)])
        spectrum = np.asarray(scipy.fft.rfft2(one)) * np.conj(np.asarray(scipy.fft.rfft2(other)))
        correlation = np.asarray(scipy.fft.irfft2(spectrum, s=(size, size)))
        result[part] = correlation[:, shifts[:, None], shifts].max(axis=(1, 2))
    return result


def _fine_structure(
    thumbnails: UInt8[np.ndarray, "n side side"],
) -> Float32[np.ndarray, "n inner inner"]:
    """Thumbnails less their blur, over their local contrast; mean 0 and norm 1 each."""
    grey = thumbnails.astype(np.float32)
    detail = grey - scipy.ndimage.gaussian_filter(grey, (0, 1.5, 1.5))
    # 3 grey levels: noise below that is not amplified into structure.
    detail /= np.sqrt(scipy.ndimage.gaussian_filter(detail**2, (0, 4, 4))) + 3
    detail = detail[:, _MARGIN : THUMBNAIL - _MARGIN, _MARGIN : THUMBNAIL - _MARGIN]
    detail = detail - detail.mean(axis=(1, 2), keepdims=True)
    # A blank image has no structure: it stays 0 and joins nothing.
    return detail / np.maximum(np.linalg.norm(detail, axis=(1, 2), keepdims=True), 1e-6)
