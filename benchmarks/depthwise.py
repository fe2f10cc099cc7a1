"""Seconds of EfficientNet-B0's depthwise layers, forward and backward: XLA's own, and shifted.

python benchmarks/depthwise.py [--batch 8] [--rounds 3]

Every kind of depthwise layer in the network, at 224×224, once. The two are run in turn (A B A B
...) after each was compiled and run once.
"""

import platform
import time

import jax
import tyro

from fracjax.ops.depthwise import grouped_convolution, shifted_products

# Side of the map, channels, side of the kernel, stride.
LAYERS = (
    (112, 32, 3, 1),
    (112, 96, 3, 2),
    (56, 144, 3, 1),
    (56, 144, 5, 2),
    (28, 240, 5, 1),
    (28, 240, 3, 2),
    (14, 480, 3, 1),
    (14, 480, 5, 1),
    (14, 672, 5, 1),
    (14, 672, 5, 2),
    (7, 1152, 5, 1),
    (7, 1152, 3, 1),
)


def _step(conv, stride: int):
    """Output and both gradients of one layer, for a gradient that is the output itself."""

    def run(x, kernel):
        out, pull = jax.vjp(lambda x, kernel: conv(x, kernel, stride), x, kernel)
        return out, pull(out)

    return jax.jit(run)


def _seconds(step, x, kernel) -> float:
    start = time.perf_counter()
    jax.block_until_ready(step(x, kernel))
    return time.perf_counter() - start


def main(batch: int = 8, rounds: int = 3) -> None:
    device = jax.devices()[0]
    print(f"{platform.machine()}, {device.platform} {device.device_kind}, jax {jax.__version__}")
    totals = [0.0, 0.0]
    for side, channels, kernel_side, stride in LAYERS:
        keys = jax.random.split(jax.random.key(0))
        x = jax.random.normal(keys[0], (batch * side * side * channels,))
        x = x.reshape(batch, side, side, channels)
        kernel = jax.random.normal(keys[1], (kernel_side * kernel_side * channels,))
        kernel = kernel.reshape(kernel_side, kernel_side, 1, channels)
        steps = [_step(conv, stride) for conv in (grouped_convolution, shifted_products)]
        for step in steps:
            jax.block_until_ready(step(x, kernel))
        times = [[_seconds(step, x, kernel) for step in steps] for _ in range(rounds)]
        own, shifted = (sorted(column)[rounds // 2] for column in zip(*times, strict=True))
        totals[0] += own
        totals[1] += shifted
        print(
            f"{side}×{side}×{channels}, kernel {kernel_side}, stride {stride}: XLA {1e3 * own:.1f} "
            f"ms, shifted {1e3 * shifted:.1f} ms, ratio {own / shifted:.1f}"
        )
    print(
        f"all: XLA {totals[0]:.3f} s, shifted {totals[1]:.3f} s, ratio {totals[0] / totals[1]:.1f}"
    )


if __name__ == "__main__":
    tyro.cli(main)
