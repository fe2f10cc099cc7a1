"""One process or several, from what launchers put into the environment."""

import pytest

from fracjax.errors import InputError
from fracjax.runtime.launcher import Launch, launch, without_its_launcher

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}
DAEMON = {**SLURM, "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
EXPLICIT = {
    "JAX_COORDINATOR_ADDRESS": "10.0.0.1:8476",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "0",
}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {**EXPLICIT, "JAX_NUM_PROCESSES": "1"},
        {**SLURM, "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"},  # a batch script, no srun
        {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
        {"TPU_WORKER_HOSTNAMES": "localhost"},
        {"TPU_WORKER_HOSTNAMES": "t-0", "MEGASCALE_NUM_SLICES": "1"},
    ],
)
def test_a_single_process_is_told_from_several(environment):
    assert launch(environment) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (EXPLICIT, Launch("environment", "10.0.0.1:8476", 4, 0, ())),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "3,1"}, Launch("Slurm", None, 4, 3, None)),
        (
            {**SLURM, "JAX_COORDINATOR_ADDRESS": "head:1234"},
            Launch("Slurm", "head:1234", 4, 3, None),
        ),
        (
            {**OPEN_MPI, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1"},
            Launch("Open MPI", None, 4, 2),
        ),
        (
            {**OPEN_MPI, "JAX_COORDINATOR_ADDRESS": "head:1234"},
            Launch("Open MPI", "head:1234", 4, 2, None),
        ),
        # mpirun within sbatch: Slurm's variables are those of Open MPI's daemon on this host.
        (
            {**DAEMON, **OPEN_MPI, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1"},
            Launch("Open MPI", None, 4, 2),
        ),
        (
            {**DAEMON, **OPEN_MPI, "JAX_COORDINATOR_ADDRESS": "head:1234"},
            Launch("Open MPI", "head:1234", 4, 2, None),
        ),
        ({"TPU_WORKER_HOSTNAMES": "t-0,t-1,t-2,t-3"}, Launch("TPU slice")),
        ({"TPU_WORKER_HOSTNAMES": "t-0", "MEGASCALE_NUM_SLICES": "2"}, Launch("TPU slice")),
    ],
)
def test_each_launcher_says_how_many_and_which(environment, expected):
    assert launch(environment) == expected


@pytest.mark.parametrize(
    ("variables", "devices"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, ()),  # one task a host has all of its GPUs
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, (2, 3)),  # the second of two tasks has half of them
        ({"CUDA_VISIBLE_DEVICES": "0"}, ()),  # Slurm shows each task but its own
        ({"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_GPUS_PER_TASK": "2"}, ()),
        ({"SLURM_GPUS_PER_TASK": "2"}, ()),
        # --gpu-bind=none shows each task those of all.
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_GPUS_PER_TASK": "1"}, (1,)),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_GPUS_PER_TASK": "a100:2"}, (2, 3)),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2", "SLURM_GPUS_PER_TASK": "2"}, None),  # none is left
        # Hosts differ in their tasks, and nothing says how many this one has.
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_STEP_TASKS_PER_NODE": "1(x3),2"}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2"}, None),  # JAX's own way: one for each task
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "JAX_LOCAL_DEVICE_IDS": "0"}, None),
        ({}, None),
    ],
)
def test_the_gpus_of_a_host_are_shared_out_among_its_tasks(variables, devices):
    found = launch({**SLURM, **variables})
    assert found is not None
    assert found.devices == devices


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"JAX_NUM_PROCESSES": "2"},
            "JAX_NUM_PROCESSES set, but not JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID: several",
        ),
        (
            {"JAX_COORDINATOR_ADDRESS": "head:1"},
            "not JAX_NUM_PROCESSES, JAX_PROCESS_ID: .* unset JAX_COORDINATOR_ADDRESS",
        ),
        ({**EXPLICIT, "JAX_COORDINATOR_ADDRESS": "head"}, "'head'; write HOST:PORT"),
        ({**EXPLICIT, "JAX_PROCESS_ID": "4"}, "number the processes from 0 to 3"),
        ({**EXPLICIT, "JAX_PROCESS_ID": "one"}, "JAX_PROCESS_ID is 'one'; write a whole number"),
        (OPEN_MPI, "set JAX_COORDINATOR_ADDRESS to HOST:PORT"),
    ],
)
def test_what_is_half_set_is_refused_with_what_to_set(environment, message):
    with pytest.raises(InputError, match=message):
        launch(environment)


def test_several_tasks_without_srun_are_remarked_upon():
    batch_script = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    assert "start it with srun" in (without_its_launcher(batch_script) or "")
    assert without_its_launcher(SLURM) is None
    assert without_its_launcher({}) is None
