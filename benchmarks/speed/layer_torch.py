# pyright: reportMissingImports=false
"""Convolutions in torch, one a question: the contender of `layers.py`."""

import time
from collections.abc import Callable

from contender import Answer, serve, spec


def seconds(asked: Answer) -> Answer:
    """Of a layer forwards, and forwards and backwards, each after once that is not counted."""
    import torch
    from torch.nn.functional import conv2d, pad

    b, h, w, c = asked["x"]
    i, j, per_group, o = asked["kernel"]
    last = torch.channels_last
    x = torch.randn(b, c, h, w).contiguous(memory_format=last).requires_grad_()
    kernel = torch.randn(o, per_group, i, j).contiguous(memory_format=last).requires_grad_()
    (top, bottom), (left, right) = asked["pads"]
    how = {"stride": asked["stride"], "groups": asked["groups"]}

    def forward() -> torch.Tensor:
        if top == bottom and left == right:
            return conv2d(x, kernel, padding=(top, left), **how)
        return conv2d(pad(x, (left, right, top, bottom)), kernel, **how)

    def backward() -> None:
        y = forward()
        torch.autograd.grad(y, (x, kernel), y.detach())

    def without_gradients() -> None:
        with torch.no_grad():
            forward()

    def of(run: Callable[[], object]) -> float:
        run()
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    return {"seconds": [of(without_gradients), of(backward)]}


def main() -> None:
    spec()
    serve(dict, seconds)


if __name__ == "__main__":
    main()
