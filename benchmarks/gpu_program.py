"""Kernels and bytes of a training step on a GPU that is not here, as XLA compiles it for one.

ENV/bin/python benchmarks/gpu_program.py [--network inception_v3] [--batch 256] [--steps 32]
    [--lever NAME] [--rows 25] [--precision bfloat16] [--hlo FILE] [--json FILE]

ENV has fracjax, jax[cuda13] and no GPU; Linux and some minutes are needed. XLA compiles for an
H100 by its figures: it fuses as on the card, but cannot try which algorithm of cuDNN is fastest, so
nothing is said of the convolutions' own time. Of each kernel the bytes of its operands and results
are counted; a kernel that is limited by memory takes at least these at 3.35 TB/s. Counted is a step
of those that a dispatch takes in a loop, and apart from that what comes before and after the loop.
Compare two checkouts, or a lever of `levers.py`: what a change does to kernels and bytes is seen
without a card, what it is worth is not.
"""

import argparse
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BANDWIDTH = 3.35e12  # bytes a second of an H100 SXM
# Of an H100 SXM, as XLA's `GpuTargetConfigProto` has it.
TARGET = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
_BYTES = {"pred": 1, "bf16": 2, "c64": 8, "c128": 16}
_NO_KERNEL = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"}
_CALLS = {"call", "while", "conditional"}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\(([^)]*)\)(.*)$"
)
_CALLED = re.compile(r"(?:to_apply|body|calls|true_computation|false_computation)=%?([\w.\-]+)")


@dataclass(frozen=True)
class Kernel:
    """What the device is asked to do at once."""

    name: str
    shape: str  # of its results
    bytes: int  # of operands and results
    source: str  # the operation of ours that it comes from, or a call of a library
    looped: bool  # whether it runs in each step of the loop

    @property
    def kind(self) -> str:
        """Its name without a number."""
        return re.sub(r"[._\d]+$", "", self.name)


def size(shape: str) -> int:
    """Bytes of a shape as HLO writes it, a tuple's summed."""
    total = 0
    for kind, dims in re.findall(r"(\w+)\[([\d,]*)\]", shape):
        digits = re.sub(r"\D", "", kind.split("e")[0])  # f8e4m3fn has 8
        each = _BYTES.get(kind, int(digits or 0) // 8)
        for length in filter(None, dims.split(",")):
            each *= int(length)
        total += each
    return total


def kernels(hlo: str) -> list[Kernel]:
    """Every kernel of a compiled module, in order; of a loop those of one turn."""
    hlo = re.sub(r"/\*index=\d+\*/", "", hlo)  # in tuples of many
    computations: dict[str, list[tuple[str, ...]]] = {}
    entry = name = ""
    for line in hlo.splitlines():
        if begun := _COMPUTATION.match(line):
            name = begun[2]
            computations[name] = []
            entry = name if begun[1] else entry
        elif (found := _INSTRUCTION.match(line)) and name:
            computations[name].append(found.groups())

    def of(name: str, looped: bool) -> Iterator[Kernel]:
        shapes = {one[0]: one[1] for one in computations[name]}
        for own, shape, operation, operands, rest in computations[name]:
            if operation in _NO_KERNEL:
                continue
            if operation in _CALLS:
                for called in _CALLED.findall(rest):
                    yield from of(called, looped or operation == "while")
                continue
            read = sum(size(shapes.get(it, "")) for it in re.findall(r"%([\w.\-]+)", operands))
            library = re.search(r'custom_call_target="([^"]*)"', rest)
            source = library or re.search(r'op_name="([^"]*)"', rest)
            yield Kernel(own, shape, read + size(shape), source[1] if source else "", looped)

    return list(of(entry, False))


def compiled_steps(network: str, batch: int, precision: str, steps: int, lever: str | None) -> str:
    """The HLO of a dispatch of the whole network's training steps, compiled for the card."""
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # there is no driver to ask
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from levers import LEVERS, program
    from noise import noise_batch

    from fracjax.ops.backend import tracing_for

    card = topologies.get_topology_desc("card", "cuda", target_config=TARGET, topology="1x1x1")
    everywhere = NamedSharding(Mesh(np.array(card.devices), ("card",)), PartitionSpec())

    def there(tree: Any) -> Any:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), tree
        )

    own = program(network, batch, precision, LEVERS[lever] if lever else None)
    inputs = (own.state, noise_batch(batch, 224, 2), jax.random.key(0), jnp.float32(0))
    with tracing_for("gpu"):
        jitted = jax.jit(own.run(steps), donate_argnums=0)
        return jitted.lower(*there(inputs)).compile().as_text() or ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--network", default="inception_v3")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--steps", type=int, default=32, help="of a dispatch; 1: no loop")
    parser.add_argument("--lever", help="a change, of levers.py")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--hlo", type=Path, help="file for the compiled program")
    parser.add_argument("--json", type=Path, help="file for kernels and bytes by kind")
    asked = parser.parse_args()
    text = compiled_steps(asked.network, asked.batch, asked.precision, asked.steps, asked.lever)
    if asked.hlo:
        asked.hlo.write_text(text)
    every = kernels(text)
    found = [one for one in every if one.looped == (asked.steps > 1)]
    total, once = (sum(one.bytes for one in part) for part in (found, every))
    by_kind: dict[str, list[int]] = defaultdict(list)
    for one in found:
        by_kind[one.source if one.source.startswith("__") else one.kind].append(one.bytes)
    what = f"{asked.network}, batch {asked.batch}, {asked.precision}, {asked.lever or 'as it is'}"
    print(
        f"{what}: {len(found)} kernels a step, {total / 1e9:.1f} GB, "
        f"{1e3 * total / BANDWIDTH:.1f} ms at the memory's rate; "
        f"{len(every) - len(found)} kernels, {(once - total) / 1e9:.1f} GB a dispatch\n"
    )
    print("| kind | kernels | GB |\n|---|---|---|")
    kinds = sorted(by_kind.items(), key=lambda item: -sum(item[1]))
    for kind, each in kinds[: asked.rows]:
        print(f"| {kind} | {len(each)} | {sum(each) / 1e9:.3f} |")
    print("\n| kernel | GB | results | from |\n|---|---|---|---|")
    for one in sorted(found, key=lambda one: -one.bytes)[: asked.rows]:
        shape = re.sub(r"\{[^}]*\}", "", one.shape)[:60]
        print(f"| {one.name} | {one.bytes / 1e9:.3f} | {shape} | {one.source[-60:]} |")
    if asked.json:
        kept = {"kernels": len(found), "bytes": total, "kinds": {k: sum(v) for k, v in kinds}}
        asked.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
