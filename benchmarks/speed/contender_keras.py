# pyright: reportMissingImports=false
"""Contenders of `speed/run.py`: Keras 3's own networks, on JAX or on torch (KERAS_BACKEND).

The step is what `model.fit` runs: `train_function`, jitted on JAX, eager on torch, as Keras chooses
by itself. It is given float32 pictures of three channels that lie on the device, so that neither
fit's input side nor its callbacks are measured.
"""

from itertools import repeat
from typing import Any

from machine import describe
from turns import Program, Ready, answer_turns


def build(asked: dict[str, Any]) -> Ready:
    import keras
    import numpy as np

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        factors = "highest" if asked["precision"] == "float32" else "high"
        jax.config.update("jax_default_matmul_precision", factors)  # else TF32, on a GPU
    if asked["precision"] == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model, low, high = _model(keras, asked)
    binary = asked["outputs"] == 1
    model.compile(
        optimizer=keras.optimizers.Adam(1e-4, epsilon=1e-7),
        loss=(
            keras.losses.BinaryCrossentropy(from_logits=True)
            if binary
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ),
        metrics=["accuracy"],
    )
    n, side = asked["batch"], asked["side"]
    pictures = np.random.default_rng(0).uniform(low, high, (n, side, side, 3)).astype(np.float32)
    label = (np.arange(n) % max(asked["outputs"], 2)).astype(np.float32 if binary else np.int32)
    x = keras.ops.convert_to_tensor(pictures)
    y = keras.ops.convert_to_tensor(label[:, None] if binary else label)
    model.optimizer.build(model.trainable_variables)
    model.make_train_function()
    model.make_predict_function()
    ready = {"jax": _on_jax, "torch": _on_torch}[backend](model, x, y)
    return Ready(
        facts={
            **ready.facts,
            "parameters": model.count_params(),
            "trained": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        },
        programs=ready.programs,
        device_peak=ready.device_peak,
    )


def _on_jax(model: Any, x: Any, y: Any) -> Ready:
    import jax
    import keras

    # Metrics have their variables only after they were called.
    model._symbolic_build(data_batch=(x, y))
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
        purge_model_variables=True,
    )

    def train(times: int) -> None:
        nonlocal state
        batches = repeat((x, y))
        for _ in range(times):
            logs, state = model.train_function(state, batches)
        jax.block_until_ready((logs, state))

    def predict(pictures: Any) -> Program:
        def run(times: int) -> None:
            nonlocal state
            batches, forward = repeat((pictures,)), state[:2]
            for _ in range(times):
                out, forward = model.predict_function(forward, batches)
            jax.block_until_ready(out)
            state = (*forward, *state[2:])

        return run

    device = jax.devices()[0]
    return Ready(
        facts={
            "versions": f"keras {keras.__version__} on jax {jax.__version__}",
            "device": describe(device),
        },
        programs={"training": train, "inference": predict(x), "latency": predict(x[:1])},
        device_peak=lambda: (device.memory_stats() or {}).get("peak_bytes_in_use"),
    )


def _on_torch(model: Any, x: Any, y: Any) -> Ready:
    import keras
    import torch

    def wait() -> None:
        if x.is_cuda:
            torch.cuda.synchronize()

    def train(times: int) -> None:
        if not model.training:
            model.train()
        for _ in range(times):
            model.train_function([(x, y)])
        wait()

    def predict(pictures: Any) -> Program:
        def run(times: int) -> None:
            if model.training:  # it walks through all layers, which a latency would show
                model.eval()
            for _ in range(times):
                model.predict_function([(pictures,)])
            wait()

        return run

    return Ready(
        facts={
            "versions": f"keras {keras.__version__} on torch {torch.__version__}",
            "device": torch.cuda.get_device_name() if x.is_cuda else "cpu",
        },
        programs={"training": train, "inference": predict(x), "latency": predict(x[:1])},
        device_peak=lambda: torch.cuda.max_memory_allocated() if x.is_cuda else None,
    )


def _model(keras: Any, asked: dict[str, Any]) -> tuple[Any, float, float]:
    """The network, what trains in it, and the range of its pictures."""
    name, layers, shape = asked["network"], keras.layers, (asked["side"], asked["side"], 3)
    if name == "basic_cnn":
        inputs, features = _basic_cnn(keras, shape, asked["dropout"])
        low, high = 0.0, 1.0
    else:
        make, low, high = {
            "inception_v3": (keras.applications.InceptionV3, -1.0, 1.0),
            "efficientnet_b0": (keras.applications.EfficientNetB0, 0.0, 255.0),
            "mobilenet_v2": (keras.applications.MobileNetV2, -1.0, 1.0),
        }[name]
        base = make(include_top=False, weights=None, input_shape=shape)
        inputs, features = base.inputs, layers.GlobalAveragePooling2D()(base.outputs[0])
        for index, layer in enumerate(base.layers):
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = asked["part"] != "frozen"
            elif asked["cut"]:
                layer.trainable = index >= asked["cut"]["keras"]
    features = layers.Dropout(asked["dropout"])(features)
    return keras.Model(inputs, layers.Dense(asked["outputs"], dtype="float32")(features)), low, high


def _basic_cnn(keras: Any, shape: tuple[int, int, int], dropout: float) -> tuple[Any, Any]:
    layers = keras.layers
    inputs = x = keras.Input(shape)
    for filters in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.BatchNormalization()(x)
        x = layers.Dropout(dropout)(layers.MaxPooling2D()(x))
    x = layers.Dense(512, activation="relu")(layers.Flatten()(x))
    return inputs, layers.BatchNormalization()(x)


if __name__ == "__main__":
    answer_turns(build)
