"""What each of two processes with two devices reads and holds; together they have the batch."""

from pathlib import Path

import jax
import numpy as np
from numpy.testing import assert_array_equal

from fracjax.loading.batch import Examples
from fracjax.loading.resident import batch_at, make_resident
from fracjax.loading.sampling import draw_order
from fracjax.loading.stored_rows import StoredRows, write_rows
from fracjax.loading.streaming import BatchSource, stream, training_batches
from fracjax.runtime.multihost import barrier
from fracjax.runtime.sharding import batch_sharding, data_mesh


class Counted(StoredRows):
    """Rows that note how many were read at a time."""

    read: tuple[int, ...] = ()

    def __getitem__(self, rows):
        self.read += (len(rows),)
        return super().__getitem__(rows)


def check_parts(folder: Path) -> None:
    """To be called by both processes; leaves a file of each that agrees."""
    number, mesh = jax.process_index(), data_mesh()
    assert mesh.size == 4
    assert len(jax.local_devices()) == 2
    pictures = np.arange(26 * 9, dtype=np.uint8).reshape(26, 3, 3, 1)
    label = np.arange(26) % 3
    if number == 0:
        write_rows(folder / "a.npy", len(pictures), [pictures])
    barrier("written")
    store = Counted(folder / "a.npy")
    examples = Examples(label.astype(str), store, label, label)
    order = np.asarray(draw_order(label, seed=0, epoch=0))
    whole = BatchSource(Examples(label.astype(str), pictures, label, label), order, 8)

    def check(batch, expected):
        for name, array in batch.items():
            assert array.shape == expected[name].shape
            for shard in array.addressable_shards:
                assert_array_equal(shard.data, expected[name][shard.index])

    source = training_batches(examples, batch_size=8, seed=0, epoch=0)
    for batch, expected in zip(stream(source, batch_sharding(mesh)), whole, strict=True):
        check(batch, expected)
    assert store.read == (4,) * 4  # half of each batch
    (studies,) = make_resident([examples], mesh)
    assert sum(store.read[4:]) == 14 - 2 * number  # 7 + 7 rows, or 7 + 5
    gather = jax.jit(lambda studies, order, n: batch_at(studies, order, n, batch_size=8, mesh=mesh))
    for n, expected in enumerate(whole):
        check({"image": gather(studies, jax.numpy.asarray(order), n)["image"]}, expected)
    (folder / f"agreed_{number}").touch()
