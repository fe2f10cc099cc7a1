# pyright: reportMissingImports=false
"""Contenders of `benchmarks/input/run.py`: the policy by albumentations, on the host."""

import multiprocessing
from collections.abc import Iterator
from importlib.metadata import version

import albumentations as A
import numpy as np
from readers import Epoch, serve, spec

SPEC = spec()
POLICY, WORKERS, SHAPE = SPEC["policy"], SPEC["workers"], tuple(SPEC["shape"])
SLOTS = 2 * WORKERS
IMAGES = np.random.default_rng(0).integers(256, size=SHAPE, dtype=np.uint8)
CHANGE = A.Compose(
    [
        A.HorizontalFlip(p=0.5),
        # Rotation and zoom as one warp, its strongest form.
        A.Affine(
            rotate=(-POLICY["rotation"], POLICY["rotation"]),
            scale=(1 - POLICY["zoom"], 1 + POLICY["zoom"]),
            p=1.0,
        ),
        A.RandomBrightnessContrast(POLICY["brightness"], POLICY["contrast"], p=1.0),
    ]
)


def one_process() -> Epoch:
    def epoch() -> Iterator[np.ndarray]:
        for _ in range(SPEC["batches"]):
            yield np.stack([CHANGE(image=image)["image"] for image in IMAGES])

    return epoch


def processes() -> Epoch:
    # Batches come back through shared memory: they need not be copied from one to the other.
    memory = multiprocessing.RawArray("B", SLOTS * IMAGES.size)
    pool = multiprocessing.Pool(WORKERS, _share, [memory])

    def epoch() -> Iterator[np.ndarray]:
        for slot in pool.imap(_fill, [i % SLOTS for i in range(SPEC["batches"])]):
            yield _slots(memory)[slot]

    return epoch


def _slots(memory: object) -> np.ndarray:
    return np.frombuffer(memory, np.uint8).reshape(SLOTS, *SHAPE)  # pyright: ignore


def _share(memory: object) -> None:
    global SHARED
    SHARED = _slots(memory)


def _fill(slot: int) -> int:
    for place, image in zip(SHARED[slot], IMAGES, strict=True):
        place[:] = CHANGE(image=image)["image"]
    return slot


if __name__ == "__main__":
    contenders = {
        "albumentations, one process": one_process,
        f"albumentations, {WORKERS} processes": processes,
    }
    cv2 = version("opencv-python-headless")
    serve(contenders, f"albumentations {A.__version__}, OpenCV {cv2}")
