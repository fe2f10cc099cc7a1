"""Which bits of a DICOM file's words are the pixel's value.

Source: DICOM PS3.5, 8.1.1 (BitsAllocated, BitsStored, HighBit); retired overlays lie in the rest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from fracjax.imaging.grey_levels import Declared, Unreadable


@dataclass(frozen=True)
class SampleBits:
    """What a file says of the bits of its values."""

    allocated: int  # of a word: 8 or 16
    stored: int  # of a value
    high: int  # place of a value's highest bit, from 0
    signed: bool
    overlays: int  # the bits of a word in which overlays lie, as a mask
    in_words: bool  # whether the words are stored, and not values that a codec has packed

    @classmethod
    def of(cls, file: Any, *, compressed: bool) -> "SampleBits":
        """As the elements have it; `Unreadable` where they contradict each other."""
        allocated, stored = int(file.BitsAllocated), int(file.get("BitsStored") or 0)
        given = file.get("HighBit")
        high = stored - 1 if given is None else int(given)
        # A palette, or colours, that are not lowest: nobody writes them.
        elsewhere = compressed or file.SamplesPerPixel > 1
        if not 1 <= stored <= high + 1 <= allocated or (elsewhere and high + 1 != stored):
            raise Unreadable(
                f"contradictory DICOM: BitsAllocated {allocated}, BitsStored {stored}, HighBit "
                f"{high}, expected HighBit {stored - 1}"
            )
        overlays = 0
        for group in range(0x6000, 0x6020, 2):  # with data of their own they take no bits
            if (group, 0x0102) in file and (group, 0x3000) not in file:
                overlays |= 1 << int(file[group, 0x0102].value or 0)
        return cls(allocated, stored, high, file.PixelRepresentation == 1, overlays, not elsewhere)

    @property
    def declared(self) -> Declared | None:
        """The depth, unless it is only that of a container of 16 bits, which says nothing."""
        if self.stored == self.allocated:
            return Declared("BitsStored", 8) if self.stored == 8 else None
        return Declared("BitsStored", self.stored, self.signed)

    def values(
        self, words: Integer[np.ndarray, "*shape"], notes: list[str]
    ) -> Integer[np.ndarray, "*shape"]:
        """The values in words; other bits are left out, and noted if no overlay claims them."""
        if self.stored == self.allocated:
            return words
        kind = words.dtype.newbyteorder("=")  # a big-endian file's words are so, too
        words = words.astype(kind).view(f"u{kind.itemsize}")
        mask, shift = 2**self.stored - 1, self.high + 1 - self.stored
        if shift and int(words.max()) <= mask and (words & (2**shift - 1)).any():
            notes.append(f"bits: HighBit is {self.high}, but the lowest {self.stored} are used")
            shift = 0
        values = ((words >> shift) & mask).astype(np.int32)
        negative = values >= 2 ** (self.stored - 1) if self.signed else np.zeros(1, bool)
        values = np.where(negative, values - 2**self.stored, values)
        above = 2**self.allocated - 2 ** (self.stored + shift)
        spare = (2**self.allocated - 1) & ~(mask << shift) & ~self.overlays
        # Above a negative value its sign goes on.
        found = (words ^ np.where(negative, above, 0).astype(words.dtype)) & spare
        if set_in := int(np.count_nonzero(found)):
            notes.append(
                f"bits: {set_in:,} of {words.size:,} values have bits set beside the {self.stored} "
                "of BitsStored that no overlay claims; they are left out"
            )
        return values.astype(kind)
