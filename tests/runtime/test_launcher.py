"""One process or several, from what launchers put into the environment."""

import pytest

from fracjax.errors import InputError
from fracjax.runtime.launcher import launched, without_its_launcher

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
    assert launched(environment) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            EXPLICIT,
            {
                "coordinator_address": "10.0.0.1:8476",
                "num_processes": 4,
                "process_id": 0,
                "local_device_ids": [],
            },
        ),
        (SLURM, {}),
        (
            {**SLURM, "JAX_COORDINATOR_ADDRESS": "head:1234"},
            {"coordinator_address": "head:1234"},
        ),
        (OPEN_MPI, {"num_processes": 4, "process_id": 2}),
        # mpirun within sbatch: Slurm's variables are those of Open MPI's daemon on this host.
        ({**DAEMON, **OPEN_MPI}, {"num_processes": 4, "process_id": 2}),
        (
            {**DAEMON, **OPEN_MPI, "JAX_COORDINATOR_ADDRESS": "head:1234"},
            {"coordinator_address": "head:1234", "num_processes": 4, "process_id": 2},
        ),
        ({"TPU_WORKER_HOSTNAMES": "t-0,t-1,t-2,t-3"}, {}),
        ({"TPU_WORKER_HOSTNAMES": "t-0", "MEGASCALE_NUM_SLICES": "2"}, {}),
    ],
)
def test_jax_is_told_what_it_does_not_find_out_by_itself(environment, expected):
    assert launched(environment) == expected


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, True),  # one task a host has all of its GPUs
        ({"SLURM_STEP_TASKS_PER_NODE": "1"}, True),
        ({"CUDA_VISIBLE_DEVICES": "0"}, True),  # Slurm shows each task but its own
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, False),  # JAX's way: one for each task
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x3),2"}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)", "JAX_LOCAL_DEVICE_IDS": "0"}, False),
        ({}, False),
    ],
)
def test_a_task_of_slurm_that_is_alone_on_its_host_or_sees_but_its_own_has_all_gpus(variables, own):
    assert launched({**SLURM, **variables}) == ({"local_device_ids": []} if own else {})


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
    ],
)
def test_what_is_half_set_is_refused_with_what_to_set(environment, message):
    with pytest.raises(InputError, match=message):
        launched(environment)


def test_several_tasks_without_srun_are_remarked_upon():
    batch_script = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    assert "start it with srun" in (without_its_launcher(batch_script) or "")
    assert without_its_launcher(SLURM) is None
    assert without_its_launcher({}) is None
