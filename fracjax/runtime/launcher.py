"""How a process was started: alone, or as one of several, told from the environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fracjax.errors import InputError

COORDINATOR, PROCESSES, PROCESS = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


def launched(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """How this process was started: arguments of `jax.distributed.initialize`; None if it is alone.

    `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID` come before what a launcher
    says. What neither says, JAX finds out from Slurm, Open MPI or a TPU slice by itself.
    `JAX_NUM_PROCESSES=1` makes any process a single one. Half of what is needed is refused.
    """
    names = {"coordinator_address": COORDINATOR, "num_processes": PROCESSES, "process_id": PROCESS}
    given: dict[str, Any] = {
        field: environment[name] if name == COORDINATOR else _number(environment, name)
        for field, name in names.items()
        if name in environment
    }
    if given.get("num_processes") == 1:
        return None
    found = _of_launcher(environment)
    if not given:
        return found
    missing = [name for name in names.values() if name not in environment]
    if found is None and missing:
        there = ", ".join(names[field] for field in given)
        raise InputError(
            f"{there} set, but not {', '.join(missing)}: several processes need all three, "
            f"{COORDINATOR} HOST:PORT of process 0, {PROCESSES} their number, {PROCESS} 0, 1, ...; "
            f"a single one needs none: unset {there}"
        )
    address = given.get("coordinator_address", "host:1")
    if not address.rpartition(":")[2].isdigit():
        raise InputError(f"{COORDINATOR} is {address!r}; write HOST:PORT, as in 10.0.0.1:8476")
    if not missing and given["process_id"] >= given["num_processes"]:
        raise InputError(
            f"{PROCESS} is {given['process_id']} of {PROCESSES} {given['num_processes']}; number "
            f"the processes from 0 to {given['num_processes'] - 1}"
        )
    return {**({"local_device_ids": []} if found is None else found), **given}


def _of_launcher(environment: Mapping[str, str]) -> dict[str, Any] | None:
    # Before Slurm: mpirun within a job starts a daemon on each host by srun, and what that says of
    # the daemons its ranks inherit.
    if (ranks := _number(environment, "OMPI_COMM_WORLD_SIZE")) > 1:
        rank = _number(environment, "OMPI_COMM_WORLD_RANK")
        return {"num_processes": ranks, "process_id": rank}
    # A batch script without srun has SLURM_NTASKS, too, but is one process.
    if _number(environment, "SLURM_STEP_NUM_TASKS") > 1:
        # JAX gives the k-th task of a host its k-th GPU, which leaves seven of eight idle where
        # there is one task a host, and is none where Slurm shows each task but its own.
        tasks = environment.get("SLURM_STEP_TASKS_PER_NODE", "")  # as in "1(x4)"
        alone = re.fullmatch(r"1(\(x\d+\))?", tasks) is not None
        own = re.fullmatch(r"[^,]+", environment.get("CUDA_VISIBLE_DEVICES", "")) is not None
        ids = "JAX_LOCAL_DEVICE_IDS" not in environment and (alone or own)
        return {"local_device_ids": []} if ids else {}
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES", "")
    if _number(environment, "MEGASCALE_NUM_SLICES") > 1 or "," in hosts:
        return {}
    tpu_vm = "tpu" in environment.get("JAX_PLATFORMS", "tpu") and (
        Path("/dev/accel0").exists() or Path("/dev/vfio/0").exists()
    )
    return {} if tpu_vm and not hosts else None  # its metadata server tells JAX the rest


def without_its_launcher(environment: Mapping[str, str]) -> str | None:
    """What to say to whoever has several tasks from Slurm, and started a single process."""
    tasks = _number(environment, "SLURM_NTASKS")
    if tasks > 1 and "SLURM_STEP_NUM_TASKS" not in environment:
        return f"Slurm gave this job {tasks} tasks, but this is one process: start it with srun"
    return None


def _number(environment: Mapping[str, str], name: str) -> int:
    """A whole number, 1 by default."""
    value = environment.get(name, "1")
    if not value.strip().isdigit():
        raise InputError(f"{name} is {value!r}; write a whole number, 0 or more")
    return int(value)
