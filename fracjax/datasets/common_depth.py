"""One depth for all files of a dataset that declare none: as a rule they are of one detector."""

from collections import Counter
from collections.abc import Sequence

from fracjax.imaging.grey_levels import usual_depth


def common_depth(bits: Sequence[int]) -> int | None:
    """The depth by which all files that declare none are read; None if each is read by itself.

    `bits` are those that 99 % of a file's values need, of each such file. The smallest of 8, 12, 14
    and 16 that holds 90 % of the files: the others are outliers, and clipped. There is none where
    half of the files would keep 1/16 of its range or less: they are of several detectors.
    """
    if not bits:
        return None
    depths = sorted(map(usual_depth, bits))
    depth = depths[-(-9 * len(depths) // 10) - 1]
    dark = sum(of_file <= depth - 4 for of_file in bits)
    return None if 2 * dark >= len(bits) else depth


def how_read(depth: int | None, bits: Sequence[int]) -> str:
    """How files that declare no depth are read, in words; empty where there are none."""
    if depth is not None:
        return f"as {depth} bits"
    return "each by itself" if bits else ""


def described(depth: int | None, bits: Sequence[int]) -> str:
    """How such files are read, and what to do if not alike; empty where there are none."""
    if depth is not None:
        unfit = unlike(depth, bits)
        return f"read as {depth} bits: {len(bits):,}" + (f" ({unfit})" if unfit else "")
    if not bits:
        return ""
    found = Counter(map(usual_depth, bits))
    counts = ", ".join(f"{found[own]:,} of {own} bits" for own in sorted(found))
    return (
        f"each read by itself, for none is common to them ({counts}), and two exposures of one "
        "limb may differ in grey. If they are of one detector, prepare again with --depth and its "
        "bits; if of several, write the bits into the files (BitsStored, sBIT), or prepare a "
        "dataset of each detector"
    )


def unlike(depth: int, bits: Sequence[int]) -> str:
    """How many files need more bits than this depth, or so few that they are dark, in words."""
    more = sum(of_file > depth for of_file in bits)
    fewer = sum(usual_depth(of_file) < depth for of_file in bits)
    said = {"of more bits, clipped": more, "of fewer, dark": fewer}
    return "; ".join(f"{count:,} {what}" for what, count in said.items() if count)
