# pyright: reportMissingImports=false
"""Contenders of `benchmarks/input/run.py`: torch's DataLoader over files, and over memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from readers import Epoch, serve, spec
from torch.utils.data import DataLoader, Dataset, TensorDataset

SPEC = spec()
FILES, SIDE, BATCH, WORKERS = (SPEC[name] for name in ("files", "side", "batch", "workers"))


class Files(Dataset):
    """Decoded as torchvision's ImageFolder does by default: by Pillow."""

    def __len__(self) -> int:
        return len(FILES)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(FILES[index]) as file:
            file.draft("L", (4 * SIDE, 4 * SIDE))  # as ours: large ones shrink as they are decoded
            grey = file.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(grey)[..., None])


def loader(workers: int) -> Epoch:
    # Workers that stay: else each epoch would start them anew.
    options: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    batches = DataLoader(Files(), batch_size=BATCH, shuffle=True, **options)

    def epoch() -> Iterator[np.ndarray]:
        for images in batches:
            yield images.numpy()

    return epoch


def in_memory() -> Epoch:
    images = torch.cat(list(DataLoader(Files(), batch_size=BATCH, num_workers=WORKERS)))
    # This dataset hands out whole batches, and is faster so than with a BatchSampler of its own.
    batches = DataLoader(TensorDataset(images), batch_size=BATCH, shuffle=True)

    def epoch() -> Iterator[np.ndarray]:
        for (chosen,) in batches:
            yield chosen.numpy()

    return epoch


if __name__ == "__main__":
    torch.set_num_threads(1)  # quicker: threads that share the copy of a batch wait for each other
    contenders = {
        "torch DataLoader, in its own process": lambda: loader(0),
        f"torch DataLoader, {WORKERS} workers": lambda: loader(WORKERS),
        "torch DataLoader, decoded tensor in memory": in_memory,
    }
    serve(contenders, f"torch {torch.__version__}")
