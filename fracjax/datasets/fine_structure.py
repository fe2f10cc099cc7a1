"""How alike two images are in their fine structure: local contrast, not grey of a limb on black.

`fine_similarity` says so of a pair. Among many pairs `FineStructures` finds those that can be alike
at all for a hundredth of the work: a correlation is a sum over frequencies, and most pairs are far
apart in the low ones. What the others could add at most is known, by Cauchy and Schwarz, so that
none is lost.
"""

import numpy as np
import scipy
from jaxtyping import Complex64, Float32, Int, Shaped, UInt8

from fracjax.imaging.read import in_threads

THUMBNAIL = 64  # pixels a side; what perceptual hash and alignment see
_MARGIN = 6  # thumbnail pixels left out at each border: film edges and letter boxes look alike
_SIDE = THUMBNAIL - 2 * _MARGIN
_SHIFT = 4  # thumbnail pixels that a copy may be moved (a crop moves it)
_BATCH = 1024  # pairs laid over each other at a time
ROUNDING = 2e-3  # of a correlation; twice what numbers of 16 bits do to it


def dihedral(square: Shaped[np.ndarray, "*b h w"]) -> list[np.ndarray]:
    """The eight flips and rotations (D4) of an array's last two axes."""
    turns = [np.rot90(square, k, axes=(-2, -1)) for k in range(4)]
    return turns + [np.swapaxes(turn, -2, -1) for turn in turns]


def fine_similarity(
    thumbnails: UInt8[np.ndarray, "n side side"],
    first: Int[np.ndarray, "m"],
    second: Int[np.ndarray, "m"],
    turn: Int[np.ndarray, "m"],
) -> Float32[np.ndarray, "m"]:
    """Correlation of the fine structure of each pair, at the best of the small shifts.

    1 for a copy; about 0.1 for unrelated images, up to about 0.7 for two hands on one detector.
    """
    shifts = np.r_[0 : _SHIFT + 1, -_SHIFT:0]
    result = np.zeros(len(first), np.float32)
    for start in range(0, len(first), _BATCH):
        part = slice(start, start + _BATCH)
        asked, place = np.unique(np.r_[first[part], second[part]], return_inverse=True)
        structure = _fine_structure(thumbnails[asked])
        views = dihedral(structure)
        one, two = np.split(place, 2)
        other = np.stack([views[t][j] for t, j in zip(turn[part], two, strict=True)])
        spectrum = np.asarray(scipy.fft.rfft2(structure[one])) * np.conj(scipy.fft.rfft2(other))
        correlation = np.asarray(scipy.fft.irfft2(spectrum, s=(_SIDE, _SIDE)))
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


def _frequencies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and weight in `rfft2` of each frequency of a real image, the low ones first."""
    row, column = np.indices((_SIDE, _SIDE // 2 + 1)).reshape(2, -1)
    signed = np.where(row > _SIDE // 2, row - _SIDE, row)
    edge = column % (_SIDE // 2) == 0  # columns that are mirrored in themselves
    once = ~(edge & (signed < 0))
    alone = edge & (signed % (_SIDE // 2) == 0)
    weight = np.sqrt(np.where(alone, 1, 2)) / _SIDE  # all others stand for two
    order = np.argsort(np.hypot(signed, column)[once], kind="stable")
    return row[once][order], column[once][order], weight[once][order].astype(np.float32)


_ROW, _COLUMN, _WEIGHT = _frequencies()
# Up to which frequency each look goes: half of the fine structure, four fifths, all.
_LOOKS = [slice(0, 265), slice(265, 500), slice(500, len(_ROW))]
# One of each two opposite shifts: even and odd part of a correlation give both.
_HALF = [(y, x) for y in range(_SHIFT + 1) for x in range(-_SHIFT, _SHIFT + 1) if (y, x) >= (0, 0)]
_PHASE = 2 * np.pi / _SIDE * (np.outer(_ROW, np.array(_HALF)[:, 0]) +
                              np.outer(_COLUMN, np.array(_HALF)[:, 1]))  # fmt: skip
_EVEN, _ODD = np.cos(_PHASE).astype(np.float32), np.sin(_PHASE).astype(np.float32)


UNDONE_BY = np.array([0, 3, 2, 1, 4, 5, 6, 7])
"""Which turn of `dihedral` leads back from each."""


class Views:
    """A few images, each in all eight flips and rotations, by frequency."""

    def __init__(self, thumbnails: UInt8[np.ndarray, "r side side"]):
        """The views of some images, by their thumbnails."""
        structure = _fine_structure(thumbnails)
        spectra = np.stack([_spectra(view) for view in dihedral(structure)])
        self.looks = [np.ascontiguousarray(spectra[..., look]) for look in _LOOKS]
        self.rest = _rests(spectra[0])


class FineStructures:
    """The fine structure of many images by frequency, 6.5 kB each.

    Attributes:
      norm: of each image 1, and next to 0 of a blank one.
    """

    def __init__(self, thumbnails: UInt8[np.ndarray, "n side side"], what: str):
        """Of their thumbnails, on all cores, with a bar named `what`."""
        n = len(thumbnails)
        self.norm = np.empty(n, np.float32)
        self._rest = np.empty((len(_LOOKS), n), np.float32)
        # Conjugates, as real and imaginary part; in halves where few pairs are looked at.
        self._looks = [
            np.empty((n, look.stop - look.start, 2), np.float16 if number else np.float32)
            for number, look in enumerate(_LOOKS)
        ]

        def fill(start: int) -> None:
            part = slice(start, start + 64)
            spectra = _spectra(_fine_structure(thumbnails[part]))
            self.norm[part], self._rest[:, part] = np.linalg.norm(spectra, axis=1), _rests(spectra)
            for kept, look in zip(self._looks, _LOOKS, strict=True):
                kept[part] = np.conj(spectra[:, look, None]).view(np.float32)

        in_threads(fill, range(0, n, 64), what)

    def may_reach(
        self,
        similarity: float,
        views: Views,
        first: Int[np.ndarray, "m"],
        view: Int[np.ndarray, "m"],
        second: Int[np.ndarray, "m"],
    ) -> tuple[Int[np.ndarray, "p"], Float32[np.ndarray, "p"]]:
        """Places of the pairs that may be that similar, and about how similar they are.

        Of each pair a `view` of its `first` image is laid over the `second`, which is one of these.
        None is left out whose `fine_similarity` is `similarity` or more.
        """
        alive = np.arange(len(first))
        even = odd = np.zeros((len(first), len(_HALF)), np.float32)
        best = np.zeros(len(first), np.float32)
        for number, look in enumerate(_LOOKS):
            i, j = first[alive], second[alive]
            product = views.looks[number][view[alive], i] * self._look(number, j)
            even = even + np.ascontiguousarray(np.real(product)) @ _EVEN[look]
            odd = odd + np.ascontiguousarray(np.imag(product)) @ _ODD[look]
            best = (even + np.abs(odd)).max(axis=1)
            most = best + views.rest[number, i] * self._rest[number, j]
            here = most >= similarity - ROUNDING
            alive, even, odd, best = alive[here], even[here], odd[here], best[here]
        return alive, best

    def _look(self, number: int, asked: Int[np.ndarray, "m"]) -> Complex64[np.ndarray, "m k"]:
        kept = self._looks[number].take(asked, axis=0)
        return kept.astype(np.float32, copy=False).view(np.complex64)[..., 0]


def _spectra(structure: Float32[np.ndarray, "n inner inner"]) -> Complex64[np.ndarray, "n k"]:
    """Coefficients of a Fourier series whose squares add up to those of the pixels."""
    return np.asarray(scipy.fft.rfft2(structure))[:, _ROW, _COLUMN] * _WEIGHT


def _rests(spectra: Complex64[np.ndarray, "n k"]) -> Float32[np.ndarray, "looks n"]:
    """Of each image the norm of what is left after each look; 0 after the last."""
    return np.stack([np.linalg.norm(spectra[:, look.stop :], axis=1) for look in _LOOKS])
