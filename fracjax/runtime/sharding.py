"""Where arrays live: batches split over the devices by example, everything else on each."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fracjax.errors import InputError

DATA = "data"


def data_mesh(devices: int | None = None, *, own: bool = False) -> Mesh:
    """A mesh of so many devices, by default of all, or of the one in `jax_default_device`.

    They are those of all processes, or `own`, of this one alone.
    """
    # By process, not as the wires run: a process reads a part of each batch for its devices.
    everyone = jax.local_devices() if own else jax.devices()
    ordered = sorted(everyone, key=lambda device: (device.process_index, device.id))
    one = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    used = [one] if devices is None and isinstance(one, jax.Device) else ordered[:devices]
    return Mesh(np.array(used), (DATA,), axis_types=(AxisType.Auto,))


def process_of(sharding: NamedSharding) -> tuple[int, int]:
    """Which of how many processes this is, of those whose devices have a part of an array."""
    processes = sorted({device.process_index for device in sharding.device_set})
    return processes.index(jax.process_index()), len(processes)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """One axis, that of the examples, split over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Put on every device what each process has, and has alike."""
    sharding = replicated(mesh)
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    # Given to `device_put`, arrays would first be compared over the network, byte by byte.
    return jax.tree.map(lambda leaf: _replicate(leaf, sharding), tree)


def _replicate(leaf: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(leaf, jax.Array):
        if not leaf.is_fully_addressable:  # it is already there
            return leaf
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = _replicate(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Refuse a batch that the mesh cannot split evenly."""
    if batch_size % mesh.size:
        lower = max(batch_size // mesh.size, 1) * mesh.size
        raise InputError(
            f"data.batch_size is {batch_size}, which {mesh.size} devices cannot share evenly; "
            f"expected a multiple, such as {lower}"
        )
