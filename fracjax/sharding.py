"""Where arrays live: batches split over the mesh by study, everything else on every device."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fracjax.errors import UserError


def data_mesh(devices: int | None = None) -> Mesh:
    """A mesh of `devices` devices (all by default) along the single axis `data`."""
    used = jax.devices()[:devices]
    return jax.make_mesh((len(used),), ("data",), axis_types=(AxisType.Auto,), devices=used)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_study(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """One axis, that of the studies, split over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Refuse a batch that the mesh cannot split evenly."""
    if batch_size % mesh.size:
        lower = max(batch_size // mesh.size, 1) * mesh.size
        raise UserError(
            f"data.batch-size is {batch_size}, which {mesh.size} devices cannot share evenly; "
            f"write --data.batch-size {lower}"
        )
