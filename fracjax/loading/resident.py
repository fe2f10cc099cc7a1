"""Resident mode: where they fit, all studies lie in the devices' memory and are batched there."""

import socket
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Float32, Int, Int32, Shaped, UInt8

from fracjax.errors import InputError
from fracjax.loading.batch import UNKNOWN, Batch, Examples, ImageStore
from fracjax.loading.stored_rows import StoredRows
from fracjax.runtime.free_memory import free_on_host
from fracjax.runtime.multihost import allgather
from fracjax.runtime.sharding import batch_sharding, replicate

FRACTION = 0.5  # of a device's free memory that the studies may take: the rest is the model's


@dataclass(frozen=True)
class MemoryBudget:
    """What the studies of a run need of each device, and what there is, in bytes."""

    needed: int
    free: int

    def __str__(self) -> str:
        needed, free = (f"{size / 2**30:.2f} GiB" for size in (self.needed, self.free))
        return f"the studies take {needed} of each device's {free} of free memory"

    def choose_mode(
        self, asked: Literal["auto", "resident", "stream"]
    ) -> Literal["resident", "stream"]:
        """Where the studies wait; refuses to keep resident what there is no room for at all."""
        if asked == "resident" and self.needed > self.free:
            raise InputError(
                f"data.mode is resident, but {self}; write stream, or a smaller data.image_size"
            )
        if asked != "auto":
            return asked
        return "resident" if self.needed <= FRACTION * self.free else "stream"


def room_for(parts: Sequence[Examples], mesh: Mesh) -> MemoryBudget:
    """What these studies take of each device of the mesh, and the least that one of them has."""
    kept = [*rows_used(parts).values(), *((masks, masks) for masks in _masks(parts))]
    needed = sum(
        -(-len(rows) // mesh.size) * int(np.prod(image.shape[1:])) * image.dtype.itemsize
        for image, rows in kept
    )
    local = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
    here = {"host": socket.gethostname(), "free": min(map(_free, local)), "devices": len(local)}
    each = allgather(here)
    if local[0].platform != "cpu":
        return MemoryBudget(needed, min(one["free"] for one in each))
    # Devices of a CPU are threads of one machine and share its memory.
    devices = Counter(host for one in each for host in [one["host"]] * one["devices"])
    return MemoryBudget(needed, min(one["free"] // devices[one["host"]] for one in each))


def _free(device: Any) -> int:
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return free_on_host()


_CHUNK = 64 * 2**20  # bytes that are on the host at a time


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Resident:
    """Studies of one part of a split, on the devices: images by study, all else on each."""

    image: Shaped[Array, "m *dims"]  # or features; perhaps those of other parts, too
    row: Int32[Array, " n"]  # of `image`
    label: Int32[Array, " n"]
    weight: Float32[Array, " n"]  # in the loss
    second: Int32[Array, "n columns"] | None  # as of `Examples`
    masks: UInt8[Array, "k side side"] | None  # as of `Outlines`, as is the row of each
    mask_row: Int32[Array, " n"] | None


def make_resident(
    parts: Sequence[Examples],
    mesh: Mesh,
    class_weights: Sequence[Float32[np.ndarray, " k"] | None] | None = None,
) -> list[Resident]:
    """Place the studies of these parts on the devices; images that they share only once.

    `class_weights` are, of each part, the weight of a study by its class; None for 1.
    """
    weights = class_weights or [None] * len(parts)
    used = rows_used(parts)
    placed = {key: place(image, rows, mesh) for key, (image, rows) in used.items()}
    placed |= {id(masks): place(masks, np.arange(len(masks)), mesh) for masks in _masks(parts)}
    out = []
    for part, by_class in zip(parts, weights, strict=True):
        key = _identity(part.image)
        row = np.searchsorted(used[key][1], part.rows).astype(np.int32)
        each = np.ones(len(part), np.float32) if by_class is None else by_class[part.label]
        masks, mask_row = None, None
        if part.outlines is not None:
            masks, mask_row = placed[id(part.outlines.masks)], part.outlines.row
        small = row, part.label.astype(np.int32), each, part.second, mask_row
        row, label, weight, second, mask_row = replicate(mesh, small)
        out.append(Resident(placed[key], row, label, weight, second, masks, mask_row))
    return out


def rows_used(parts: Sequence[Examples]) -> dict[object, tuple[ImageStore, Int[np.ndarray, " m"]]]:
    """Of each set of images the rows that the parts need."""
    images = {_identity(part.image): part.image for part in parts}
    rows = {key: [p.rows for p in parts if _identity(p.image) == key] for key in images}
    return {key: (image, np.unique(np.concatenate(rows[key]))) for key, image in images.items()}


def _masks(parts: Sequence[Examples]) -> list[UInt8[np.ndarray, "m side side"]]:
    """The sets of masks that they have, each once."""
    return list({id(it.masks): it.masks for part in parts if (it := part.outlines)}.values())


def _identity(image: ImageStore) -> object:
    return image.path if isinstance(image, StoredRows) else id(image)


def place(images: ImageStore, rows: Int[np.ndarray, " m"], mesh: Mesh) -> Shaped[Array, "k *dims"]:
    """Split these rows over the devices, in chunks: the host never holds a second copy.

    Rows are added at the end, all zero, for the devices to have the same number.
    """
    each = -(-len(rows) // mesh.size)
    whole, sharding = (each * mesh.size, *images.shape[1:]), batch_sharding(mesh)
    shards = []
    for device, index in sharding.addressable_devices_indices_map(whole).items():
        first = index[0].start or 0 if index else 0
        shards.append(_fill(images, rows[first : first + each], each, device))
    return jax.make_array_from_single_device_arrays(whole, sharding, shards)


def _fill(images: ImageStore, rows: np.ndarray, each: int, device: Any) -> jax.Array:
    shape = tuple(images.shape[1:])
    one = max(int(np.prod(shape)) * images.dtype.itemsize, 1)
    chunk = min(max(_CHUNK // one, 1), max(len(rows), 1))
    shard = jnp.zeros((each, *shape), images.dtype, device=device)
    for start in range(0, len(rows), chunk):
        # The last chunk begins earlier, so that all have one shape, and one program.
        start = min(start, len(rows) - chunk)
        block = jax.device_put(images[rows[start : start + chunk]], device)
        shard = _write(shard, block, start)
        # Read without waiting, the blocks would pile up on the host.
        jax.block_until_ready(shard)
    return shard


@partial(jax.jit, donate_argnums=0)
def _write(shard: jax.Array, block: jax.Array, start: ArrayLike) -> jax.Array:
    return lax.dynamic_update_slice_in_dim(shard, block, start, axis=0)


def take(
    image: Shaped[Array, "m *dims"], rows: Int32[Array, " b"], mesh: Mesh
) -> Shaped[Array, "b *dims"]:
    """Gather rows that may lie on any device into a batch that is split over all of them.

    Each device looks up what it has of the batch, zeros elsewhere; the sum over the devices is the
    batch. What travels is one batch of bytes a device.
    """
    if mesh.size == 1:
        return image[rows]

    def local(shard: jax.Array, rows: jax.Array) -> jax.Array:
        place = rows - lax.axis_index(mesh.axis_names) * shard.shape[0]
        here = (place >= 0) & (place < shard.shape[0])
        found = shard[jnp.where(here, place, 0)]
        found = jnp.where(jnp.expand_dims(here, range(1, found.ndim)), found, 0)
        return lax.psum_scatter(found, mesh.axis_names, scatter_dimension=0, tiled=True)

    by_row = PartitionSpec(mesh.axis_names)
    return jax.shard_map(local, mesh=mesh, in_specs=(by_row, PartitionSpec()), out_specs=by_row)(
        image, rows
    )


def batch_at(
    studies: Resident,
    order: Int32[Array, " m"],
    number: ArrayLike,
    *,
    batch_size: int,
    mesh: Mesh,
    active: ArrayLike = True,
) -> Batch:
    """Batch `number` of a pass: what `BatchSource` reads from the disk, to the bit.

    After the last one no study is valid; nor is any if this model is not `active`.
    """
    place = number * batch_size + jnp.arange(batch_size)
    index = order[place % order.size]
    batch = Batch(
        image=take(studies.image, studies.row[index], mesh),
        label=studies.label[index],
        weight=studies.weight[index],
        valid=jnp.logical_and(place < order.size, active),
        index=index,
    )
    if studies.second is not None:
        batch["second"] = studies.second[index]
    if studies.masks is not None and studies.mask_row is not None:
        row = studies.mask_row[index]
        batch["outline"] = take(studies.masks, jnp.maximum(row, 0), mesh)
        batch["outlined"] = row != UNKNOWN
    return batch


def evaluation_pass(studies: Resident, *, batch_size: int, mesh: Mesh) -> Generator[Batch]:
    """Every study once, in order; those that fill up the last batch come again."""
    for number in range(-(-studies.row.size // batch_size)):
        yield _in_order(studies, number, batch_size, mesh)


@partial(jax.jit, static_argnums=(2, 3))
def _in_order(studies: Resident, number: ArrayLike, batch_size: int, mesh: Mesh) -> Batch:
    order = jnp.arange(studies.row.size, dtype=jnp.int32)
    return batch_at(studies, order, number, batch_size=batch_size, mesh=mesh)
