"""Contender of `speed/run.py`: fracjax, the step and the prediction that its loops run.

It is given what its input side gives it: grey uint8 pictures, that the step makes floats of three
channels. Both programs are compiled ahead, so that the compiler can be asked what they cost.
"""

from typing import Any

from machine import describe
from turns import Ready, answer_turns

from fracjax.cli.process import run_program


def build(asked: dict[str, Any]) -> Ready:
    import jax
    import numpy as np
    from noise import noise_batch

    from fracjax.config import Augment, Config, Data, Freeze, Model, Phase
    from fracjax.runtime.sharding import data_mesh
    from fracjax.training.forward import make_forward
    from fracjax.training.model import init, summarise
    from fracjax.training.step import StepSpec, make_step

    side, n, cut = asked["side"], asked["batch"], asked["cut"]
    config = Config(
        data=Data(
            classes=("a", "b") if asked["outputs"] == 1 else ("a", "b", "c"),
            image_size=side,
            batch_size=n,
        ),
        model=Model(name=asked["network"], dropout=asked["dropout"], precision=asked["precision"]),
        freeze=Freeze(batch_norm="all" if asked["part"] == "full" else asked["part"]),
        augment=Augment(),
        phases=(Phase(cut=cut["ours"] if cut else "none"),),
    )
    mesh, network, device = data_mesh(1), init(config), jax.devices()[0]
    recipe = StepSpec(network.training_view(0), network.optimizer(0), config)
    jitted: dict[str, Any] = {
        "training": make_step(recipe, mesh),
        "inference": make_forward(network.model, image=network.image, mesh=mesh),
    }
    jitted["latency"] = jitted["inference"]
    batch = noise_batch(n, side, len(config.data.classes))
    one = batch["image"][:1]
    inputs = (batch, one, jax.random.key(0), np.float32(1e-4))
    batch, one, key, size = jax.device_put(inputs)
    state = network.initial_state(0, mesh)
    compiled: dict[str, Any] = {}
    costs: dict[str, dict[str, float | None]] = {}

    def program(name: str, *inputs: Any) -> Any:
        if name not in compiled:
            compiled[name] = jitted[name].lower(*inputs).compile()
            cost = compiled[name].cost_analysis() or {}  # some compilers do not count
            costs[name] = {"flops": cost.get("flops"), "bytes": cost.get("bytes accessed")}
        return compiled[name]

    def train(times: int) -> None:
        nonlocal state
        step = program("training", state, batch, key, size)
        for _ in range(times):
            state, metrics = step(state, batch, key, size)
        jax.block_until_ready((state, metrics))

    def predict(name: str, pictures: jax.Array, times: int) -> None:
        forward = program(name, state.variables, pictures, None)
        for _ in range(times):
            logits = forward(state.variables, pictures, None)
        jax.block_until_ready(logits)

    total = summarise(network.model, network.freezes[0])[-1]
    return Ready(
        facts={
            "versions": f"fracjax, jax {jax.__version__}",
            "device": describe(device),
            "parameters": total.parameters,
            "trained": total.trained,
        },
        programs={
            "training": train,
            "inference": lambda times: predict("inference", batch["image"], times),
            "latency": lambda times: predict("latency", one, times),
        },
        costs=costs,
        device_peak=lambda: (device.memory_stats() or {}).get("peak_bytes_in_use"),
    )


if __name__ == "__main__":
    # As `fracjax train`: huge pages on a CPU, and the compilation cache.
    run_program(lambda: answer_turns(build))
