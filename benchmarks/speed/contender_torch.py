# pyright: reportMissingImports=false
"""Contenders of `speed/run.py`: timm's networks in torch; eager, or as one writes it for a GPU.

`torch` is eager, `timm` is compiled by `torch.compile` and has a fused Adam. Both have their
pictures channels last, which is the faster order on CPUs and GPUs alike; in bfloat16 both use
autocast. They are given float32 pictures of three channels that lie on the device. timm's networks
are as large as Keras's, but that the BatchNorms of its InceptionV3 have scales, too: 17,216
parameters.
"""

from typing import Any

from turns import Program, Ready, answer_turns

NAMES = {
    "inception_v3": "inception_v3",
    "efficientnet_b0": "efficientnet_b0",
    "mobilenet_v2": "mobilenetv2_100",
}


def build(asked: dict[str, Any]) -> Ready:
    import timm
    import torch
    from torch import nn

    compiles = asked["contender"] == "timm"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    narrow = asked["precision"] != "float32"  # else float32 would be TF32 in convolutions
    torch.set_float32_matmul_precision("high" if narrow else "highest")
    torch.backends.cudnn.allow_tf32 = narrow
    torch.backends.cudnn.benchmark = True
    if asked["network"] == "basic_cnn":
        model = _basic_cnn(nn, asked)
    else:
        more = {"drop_path_rate": 0.2} if asked["network"] == "efficientnet_b0" else {}
        model = timm.create_model(
            NAMES[asked["network"]],
            num_classes=asked["outputs"],
            drop_rate=asked["dropout"],
            **more,
        )
    norms = _freeze(nn, model, asked)
    model.eval()  # until its first step, which holds the norms, too
    parameters = sum(p.numel() for p in model.parameters())
    parameters += sum(b.numel() for b in model.buffers() if b.is_floating_point())
    model = model.to(device, memory_format=torch.channels_last)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-4, eps=1e-7, fused=compiles)
    run = torch.compile(model) if compiles else model

    n, side, binary = asked["batch"], asked["side"], asked["outputs"] == 1
    x = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    x = x.to(device, memory_format=torch.channels_last)
    label = torch.arange(n, device=device) % max(asked["outputs"], 2)
    half = asked["precision"] == "bfloat16"

    def forward(pictures: Any) -> Any:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return run(pictures)

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def train(times: int) -> None:
        if not model.training:
            model.train()
            for norm in norms:
                norm.eval()
        for _ in range(times):
            optimizer.zero_grad(set_to_none=True)
            logits = forward(x).float()
            if binary:
                loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], label.float())
            else:
                loss = nn.functional.cross_entropy(logits, label)
            loss.backward()
            optimizer.step()
        wait()

    def predict(pictures: Any) -> Program:
        def run(times: int) -> None:
            if model.training:  # it walks through all layers, which a latency would show
                model.eval()
            with torch.inference_mode():
                for _ in range(times):
                    forward(pictures)
            wait()

        return run

    return Ready(
        facts={
            "versions": f"timm {timm.__version__}, torch {torch.__version__}"
            + (", compiled" if compiles else ", eager"),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
            "parameters": parameters,
            "trained": sum(p.numel() for p in trained),
        },
        programs={"training": train, "inference": predict(x), "latency": predict(x[:1])},
        device_peak=lambda: torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    )


def _freeze(nn: Any, model: Any, asked: dict[str, Any]) -> list[Any]:
    """Hold what does not train; the BatchNorms that are to stay in inference mode."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if asked["cut"] is None:
        return []
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    for convolution in convolutions[: asked["cut"]["convolutions"]]:
        convolution.requires_grad_(False)
    if asked["part"] == "all":
        return []
    for norm in norms:
        norm.requires_grad_(False)
    return norms


def _basic_cnn(nn: Any, asked: dict[str, Any]) -> Any:
    layers, c_in = [], 3
    for c_out in (32, 64, 128):
        for c in (c_in, c_out):
            layers += [nn.Conv2d(c, c_out, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(c_out)]
        layers += [nn.MaxPool2d(2), nn.Dropout(asked["dropout"])]
        c_in = c_out
    flat = c_in * (asked["side"] // 8) ** 2
    dense = [nn.Flatten(), nn.Linear(flat, 512), nn.ReLU(), nn.BatchNorm1d(512)]
    head = [nn.Dropout(asked["dropout"]), nn.Linear(512, asked["outputs"])]
    return nn.Sequential(*layers, *dense, *head)


if __name__ == "__main__":
    answer_turns(build)
