"""How long the search for near duplicates takes among many pictures, after they were decoded.

The pictures are made of those of a prepared dataset: the coarse shape and the hashes of one (a few
bits changed), the fine structure of another, turned and moved. So hashes cluster as those of
radiographs do, and few pairs are alike. With --equal all are one picture with a little noise.

    python benchmarks/near_duplicates.py --dataset data/fracatlas --pictures 100000
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from fracjax.datasets.duplicates import near_duplicate_groups
from fracjax.datasets.fine_structure import dihedral
from fracjax.datasets.leakage import fingerprints
from fracjax.datasets.prepared import open_prepared


def made_of(
    hashes: np.ndarray, thumbnails: np.ndarray, n: int, *, equal: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnails of so many pictures."""
    rng = np.random.default_rng(0)
    grey = thumbnails.astype(np.float32)
    coarse = gaussian_filter(grey, (0, 1.5, 1.5)).astype(np.float16)
    turns = dihedral((grey - coarse).astype(np.float16))
    shape, detail = rng.integers(0, 1 if equal else len(grey), n), rng.integers(0, len(grey), n)
    made = np.empty((n, 64, 64), np.uint8)
    for i in range(n):
        fine = turns[0][shape[i]] if equal else turns[rng.integers(8)][detail[i]]
        fine = np.roll(fine, (0, 0) if equal else rng.integers(-8, 9, 2), (0, 1))
        noise = rng.integers(-1, 2, (64, 64))
        made[i] = np.clip(coarse[shape[i]] + fine + noise, 0, 255)
    # Two bits change places, in each turn others: a hash has as many ones as zeros.
    flips = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 64, (2, n, 8)).astype(np.uint64))
    return hashes[shape] ^ flips, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="DATA_DIR/NAME")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--similarity", type=float, default=0.65)
    parser.add_argument("--equal", action="store_true")
    args = parser.parse_args()
    prepared = open_prepared(args.dataset.name, args.dataset.parent)
    hashes, made = made_of(*fingerprints(prepared), args.pictures, equal=args.equal)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    groups = near_duplicate_groups(hashes, made, similarity=args.similarity)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = [f"{args.pictures:,}", f"{cpu:.0f}", f"{wall:.0f}", f"{len(np.unique(groups)):,}"]
    row += [f"{peak / 1e6:.2f}", f"{before / 1e6:.2f}", f"{made.nbytes / 1e9:.2f}"]
    print("| pictures | s of cores | s | groups | GB at most | GB before | GB of pictures |")
    print("|---" * len(row) + "|")
    print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
