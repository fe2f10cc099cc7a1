"""How a run was started: as one process, or as one of several, told from the environment.

Slurm, Open MPI, a TPU slice and Kubernetes start the same command once per host or per device, and
tell each process in variables which one it is. Nothing here asks JAX anything.
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fracjax.errors import InputError

COORDINATOR, PROCESSES, PROCESS = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


@dataclass(frozen=True)
class Launch:
    """One process among several; what is None, JAX finds out by itself.

    Attributes:
      by: the launcher.
      coordinator: host and port where the processes meet: those of process 0.
      processes: how many there are.
      process: which of them this is.
      devices: GPUs of this host that are this process's; empty for all of them.
    """

    by: str
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    devices: tuple[int, ...] | None = None


def launch(environment: Mapping[str, str]) -> Launch | None:
    """How this process was started; None if it is alone.

    What `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID` say comes before what
    the launcher says. `JAX_NUM_PROCESSES=1` makes any process a single one.

    Raises:
      UserError: half of what is needed is set, or it makes no sense.
    """
    read = _Reader(environment)
    processes, process = read.number(PROCESSES), read.number(PROCESS)
    coordinator = environment.get(COORDINATOR)
    if processes == 1:
        return None
    found = _of_launcher(read)
    if coordinator is None and processes is None and process is None:
        if found is not None and found.by == "Open MPI" and _HNP not in environment:
            raise InputError(
                f"this Open MPI does not tell its processes where to meet; set {COORDINATOR} to "
                "HOST:PORT of the first of them (mpirun -x sets it for all)"
            )
        return found
    if found is not None and found.by != "TPU slice":
        processes = found.processes if processes is None else processes
        process = found.process if process is None else process
    values = {COORDINATOR: coordinator, PROCESSES: processes, PROCESS: process}
    missing = [name for name, value in values.items() if value is None]
    if coordinator is None or processes is None or process is None:
        there = ", ".join(name for name in values if name in environment)
        raise InputError(
            f"{there} set, but not {', '.join(missing)}: several processes need all three, "
            f"{COORDINATOR} HOST:PORT of process 0, {PROCESSES} their number, {PROCESS} 0, 1, ...; "
            f"a single one needs none: unset {there}"
        )
    if not coordinator.rpartition(":")[2].isdigit():
        raise InputError(f"{COORDINATOR} is {coordinator!r}; write HOST:PORT, as in 10.0.0.1:8476")
    if not 0 <= process < processes:
        raise InputError(
            f"{PROCESS} is {process} of {PROCESSES} {processes}; number the processes from 0 to "
            f"{processes - 1}"
        )
    by = found.by if found else "environment"
    return Launch(by, coordinator, processes, process, found.devices if found else ())


def without_its_launcher(environment: Mapping[str, str]) -> str | None:
    """What to say to whoever has several tasks from Slurm, and started a single process."""
    read = _Reader(environment)
    tasks = read.number("SLURM_NTASKS") or 1
    if tasks > 1 and "SLURM_STEP_NUM_TASKS" not in environment and launch(environment) is None:
        return f"Slurm gave this job {tasks} tasks, but this is one process: start it with srun"
    return None


_HNP = "OMPI_MCA_orte_hnp_uri"  # of mpirun up to Open MPI 4; JAX reads the address from it


def _of_launcher(read: "_Reader") -> Launch | None:
    # Before Slurm: mpirun within a job starts a daemon on each host by srun, and what that says of
    # the daemons its ranks inherit.
    if (read.number("OMPI_COMM_WORLD_SIZE") or 1) > 1:
        size, rank = read.number("OMPI_COMM_WORLD_SIZE"), read.number("OMPI_COMM_WORLD_RANK")
        return Launch("Open MPI", None, size, rank)
    # A batch script without srun has SLURM_NTASKS, too, but is one process.
    if (read.number("SLURM_STEP_NUM_TASKS") or 1) > 1:
        tasks, number = read.number("SLURM_NTASKS"), read.number("SLURM_PROCID")
        return Launch("Slurm", None, tasks, number, _gpus(read))
    # A slice of several may be a single host.
    slices = read.number("MEGASCALE_NUM_SLICES") or 1
    hosts = read.words("TPU_PROCESS_ADDRESSES") or read.words("TPU_WORKER_HOSTNAMES")
    if slices > 1 or len(hosts) > 1 or (not hosts and _on_tpu_vm(read)):
        return Launch("TPU slice")
    return None


def _gpus(read: "_Reader") -> tuple[int, ...] | None:
    """GPUs of a task of Slurm.

    JAX would give the k-th task of a host its k-th GPU, which leaves seven of eight idle where
    there is one task a host, and is none at all where each task sees but its own.
    """
    if "JAX_LOCAL_DEVICE_IDS" in read.environment:  # JAX obeys it
        return None
    tasks = _tasks_per_host(read)
    visible = len(read.words("CUDA_VISIBLE_DEVICES"))
    if tasks == 1 or visible == 1:
        return ()
    each = read.environment.get("SLURM_GPUS_PER_TASK", "").rpartition(":")[2]  # "2" or "a100:2"
    if each.isdigit():
        share = int(each)
        # Slurm shows a task its own alone, unless it is told otherwise (--gpu-bind=none).
        if visible in (0, share):
            return ()
    elif tasks and visible % tasks == 0:
        share = visible // tasks
    else:
        return None
    first = (read.number("SLURM_LOCALID") or 0) * share
    return tuple(range(first, first + share)) if share and first + share <= visible else None


def _tasks_per_host(read: "_Reader") -> int | None:
    """Tasks of this step on each host, written "2(x4)"; None if hosts differ, as in "2(x3),1"."""
    told = re.fullmatch(r"(\d+)(\(x\d+\))?", read.environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    return int(told[1]) if told else None


def _on_tpu_vm(read: "_Reader") -> bool:
    """Whether this is a Cloud TPU VM, whose metadata server tells JAX the rest."""
    platforms = read.words("JAX_PLATFORMS")
    if platforms and "tpu" not in platforms:
        return False
    there = Path("/dev/accel0").exists() or Path("/dev/vfio/0").exists()
    return there and importlib.util.find_spec("libtpu") is not None


class _Reader:
    """Variables of the environment as numbers and lists."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def number(self, name: str) -> int | None:
        value = self.environment.get(name)
        if value is not None and not value.strip().isdigit():
            raise InputError(f"{name} is {value!r}; write a whole number, 0 or more")
        return None if value is None else int(value)

    def words(self, name: str) -> list[str]:
        return [word for word in self.environment.get(name, "").split(",") if word]
