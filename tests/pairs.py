"""Two processes of one command, as a launcher would start them."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.paths import ROOT

DEVICES = 2  # of each process


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    errors: str


def run_pair(folder: Path, *command: object, **environment: str) -> list[Ended]:
    """Run two processes of one command, with two devices each, to their end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = f"127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as opened:
        files, processes = [], []
        for number in range(2):
            out, errors = (
                opened.enter_context((folder / f"{what}_{number}.txt").open("w+"))
                for what in ("out", "errors")
            )
            process = subprocess.Popen(
                [sys.executable, *map(str, command)],
                env={
                    **os.environ,
                    "JAX_NUM_CPU_DEVICES": str(DEVICES),
                    "JAX_COORDINATOR_ADDRESS": meet,
                    "JAX_NUM_PROCESSES": "2",
                    "JAX_PROCESS_ID": str(number),
                    **environment,
                },
                stdout=out,
                stderr=errors,
                cwd=ROOT,
            )
            opened.enter_context(process)
            opened.callback(process.kill)
            files.append((out, errors))
            processes.append(process)
        codes = [process.wait(timeout=600) for process in processes]
        for pair in files:
            for file in pair:
                file.seek(0)
        return [
            Ended(code, out.read(), errors.read())
            for code, (out, errors) in zip(codes, files, strict=True)
        ]
