"""Two processes with two devices each: every one reads its part, together they have the batch."""

import socket
import subprocess
import sys

_PROCESS = """
import sys
import jax
import numpy as np
from numpy.testing import assert_array_equal
number, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, number)
from fracjax.loading.batch import Examples
from fracjax.loading.resident import batch_at, make_resident
from fracjax.loading.sampling import draw_order
from fracjax.loading.npy_rows import StoredRows
from fracjax.loading.streaming import BatchSource, stream, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh
from pathlib import Path

mesh = data_mesh()
assert mesh.size == 4 and len(jax.local_devices()) == 2
pictures = np.arange(26 * 9, dtype=np.uint8).reshape(26, 3, 3, 1)
label = np.arange(26) % 3
if number == 0:
    np.save(Path(folder) / "a.npy", pictures)
jax.experimental.multihost_utils.sync_global_devices("written")
store = StoredRows(Path(folder) / "a.npy")
read = []
original = StoredRows.__getitem__
StoredRows.__getitem__ = lambda self, rows: read.append(len(rows)) or original(self, rows)
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
assert read == [4] * 4, read  # half of each batch
(studies,) = make_resident([examples], mesh)
assert sum(read[4:]) == 14 - 2 * number  # 7 + 7 rows, or 7 + 5
gather = jax.jit(lambda studies, order, n: batch_at(studies, order, n, batch_size=8, mesh=mesh))
for n, expected in enumerate(whole):
    check({"image": gather(studies, jax.numpy.asarray(order), n)["image"]}, expected)
jax.experimental.multihost_utils.sync_global_devices("end")
jax.distributed.shutdown()
print("agreed")
"""


def test_each_process_reads_its_part_and_places_its_part(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(number), port, str(tmp_path)],
            env={"PATH": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        for process in processes:
            out, errors = process.communicate(timeout=120)
            assert out.strip().endswith("agreed"), errors
    finally:
        for process in processes:
            process.kill()
