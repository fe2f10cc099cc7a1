"""Where arrays live: batches split over the mesh by study, everything else on every device.

A mesh may have a second axis, `model`, along which the devices share one copy of a network's
parameters, each holding a part of every large one: for networks that do not fit a single device.
"""

from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fracjax.errors import InputError

DATA, MODEL = "data", "model"
SPLIT_FROM = 2**12
"""Elements of the smallest array that is split: to gather small ones would cost more than it
saves."""


def data_mesh(devices: int | None = None, *, parameter_shards: int = 1, own: bool = False) -> Mesh:
    """A mesh of `devices` devices.

    Args:
      devices: how many; by default all, or the one that `jax_default_device` is set to.
      parameter_shards: devices that share one copy of the network; 1 for a copy on each.
      own: of this process alone.

    Raises:
      UserError: the devices cannot be shared out in such groups.
    """
    # By process, not as the wires run: a process reads a stretch of each batch for its devices.
    all_of_them = jax.local_devices() if own else jax.devices()
    ordered = sorted(all_of_them, key=lambda device: (device.process_index, device.id))
    one = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    used = np.array([one] if devices is None and isinstance(one, jax.Device) else ordered[:devices])
    if parameter_shards == 1:
        return Mesh(used, (DATA,), axis_types=(AxisType.Auto,))
    if parameter_shards < 1 or len(used) % parameter_shards:
        fitting = ", ".join(str(n) for n in range(1, len(used) + 1) if len(used) % n == 0)
        raise InputError(
            f"--parameter-shards is {parameter_shards}, which {len(used)} devices cannot be shared "
            f"out by; write one of {fitting}"
        )
    groups = used.reshape(-1, parameter_shards)
    return Mesh(groups, (DATA, MODEL), axis_types=(AxisType.Auto, AxisType.Auto))


def process_of(sharding: NamedSharding) -> tuple[int, int]:
    """Which of how many processes this is, of those whose devices have a part of an array."""
    processes = sorted({device.process_index for device in sharding.device_set})
    return processes.index(jax.process_index()), len(processes)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """One axis, that of the studies, split over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, mesh.axis_names))


def parameters(mesh: Mesh, tree: Any) -> Any:
    """How each array of a network lies: whole, or split along `model` by its largest axis that can.

    Args:
      mesh: devices.
      tree: arrays, or their shapes.
    """
    return jax.tree.map(lambda leaf: _parameter(mesh, leaf.shape), tree)


def _parameter(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    shards = mesh.shape.get(MODEL, 1)
    fitting = [axis for axis, size in enumerate(shape) if size % shards == 0]
    if shards == 1 or not fitting or np.prod(shape) < SPLIT_FROM:
        return replicated(mesh)
    largest = max(fitting, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * largest, MODEL))


def gathered(mesh: Mesh, tree: Any) -> Any:
    """Within a program: whole arrays of what `parameters` split, to be dropped after their use.

    XLA brings each together shortly before its layer runs. Its CPU backend alone hurries all of
    them ahead, unless `xla_cpu_enable_concurrency_optimized_scheduler` is off.
    """
    if MODEL not in mesh.axis_names:
        return tree
    return lax.with_sharding_constraint(tree, replicated(mesh))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Put on every device what each process has, and has alike."""
    place = replicated(mesh)
    if place.is_fully_addressable:
        return jax.device_put(tree, place)
    # Given to `device_put`, arrays would first be compared over the network, byte by byte.
    return jax.tree.map(lambda leaf: _everywhere(leaf, place), tree)


def _everywhere(leaf: Any, place: NamedSharding) -> jax.Array:
    if isinstance(leaf, jax.Array):
        if not leaf.is_fully_addressable:  # it is already there
            return leaf
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = _everywhere(jax.random.key_data(leaf), place)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, place, lambda index: whole[index])


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Refuse a batch that the mesh cannot split evenly."""
    if batch_size % mesh.size:
        lower = max(batch_size // mesh.size, 1) * mesh.size
        raise InputError(
            f"data.batch-size is {batch_size}, which {mesh.size} devices cannot share evenly; "
            f"write --data.batch-size {lower}"
        )
