"""How long would it take, and what would it cost, on so many studies and so many devices?

    python benchmarks/scaling_estimate.py --config configs/stage1.py --images-per-second 9.0

The figure to give is the training rate of one device, as `benchmarks/systems.py` measures it or the
progress of `scripts/train.py` shows it. Everything else is arithmetic: a step takes as long as its
share of the batch takes one device, and then the gradients travel, as if nothing overlapped. Prices
are yours; the defaults are examples, no quotes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fracjax.cli.process import door
from fracjax.errors import InputError


@dataclass(frozen=True)
class Rates:
    """What was measured, of one device and of one host, and the network between them.

    Attributes:
      training: images/s of one device.
      inference: images/s of one device.
      decoding: files/s of one host.
      bandwidth: bytes/s that a device sends to others, and receives.
    """

    training: float
    inference: float
    decoding: float
    bandwidth: float


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
      studies: of the dataset; 70 % train, 15 % validate.
      epochs: passes over them.
      devices: that share each batch.
      per_device: studies of a batch on each device.
      gradients: bytes of the gradients of all parameters that train.
    """

    studies: int
    epochs: int
    devices: int
    per_device: int
    gradients: int


TRAIN, VALIDATION = 0.70, 0.15


def exchange(job: Job, rates: Rates) -> float:
    """Seconds in which the gradients of a step travel.

    Each device sends, and receives, 2 (n - 1) / n times their size in a ring; a single one nothing.
    """
    return 2 * (job.devices - 1) / job.devices * job.gradients / rates.bandwidth


def run_seconds(job: Job, rates: Rates) -> float:
    """Seconds of all epochs, validation included; compiling and decoding come once besides."""
    steps = -(-round(job.studies * TRAIN) // (job.per_device * job.devices))
    step = job.per_device / rates.training + exchange(job, rates)
    validation = job.studies * VALIDATION / (rates.inference * job.devices)
    return job.epochs * (steps * step + validation)


def main(
    images_per_second: float,
    config: Path = Path("configs/stage1.py"),
    inference_images_per_second: float | None = None,
    device: str = "device",
    price: float = 1.0,
    devices: tuple[int, ...] = (1, 8, 64),
    studies: tuple[int, ...] = (4_000, 100_000, 1_000_000),
    epochs: int | None = None,
    per_device: int = 32,
    bandwidth: float = 10.0,
    decoded_per_second: float = 1_321.0,
    kilobytes_per_file: float = 79.0,
    overrides: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
) -> None:
    """Print time and cost of training, and what the input side needs, as Markdown.

    Args:
      images_per_second: training rate of one device, as measured.
      config: the run: network, cut, size of the pictures, epochs.
      inference_images_per_second: rate of one device in validation; three times that of training if
        it was not measured.
      device: name of the device, for the headings.
      price: of one device for one hour, host included, in whatever currency. The default is an
        example, no quote.
      devices: numbers of devices, one column each.
      studies: sizes of the dataset, one row each.
      epochs: passes over it; by default those of the config.
      per_device: studies of a batch on each device: `data.batch-size` is this times the devices.
      bandwidth: gigabytes a second that a device exchanges with the others. The default is an
        example.
      decoded_per_second: files that one host decodes and stores in a second; the default is that of
        two cores in `benchmarks/RESULTS.md`.
      kilobytes_per_file: size of a study's file; the default is the mean of FracAtlas.
      overrides: fields of the config, after `--`, as train.py takes them.

    Raises:
      UserError: a value that is not above zero, or no such config.
    """
    _refuse_below_zero(
        {
            "--images-per-second": (images_per_second,),
            "--inference-images-per-second": (inference_images_per_second,),
            "--price": (price,),
            "--devices": devices,
            "--studies": studies,
            "--epochs": (epochs,),
            "--per-device": (per_device,),
            "--bandwidth": (bandwidth,),
            "--decoded-per-second": (decoded_per_second,),
            "--kilobytes-per-file": (kilobytes_per_file,),
        }
    )
    # Imported late, so that --help and a misspelt flag are answered at once.
    from fracjax.config.io import load
    from fracjax.training.model_summary import summarise_phases

    run = load(config, list(overrides))
    tables = summarise_phases(run)
    trained = max(table[-1].trained for table in tables)
    epochs = epochs or sum(phase.epochs for phase in run.phases)
    rates = Rates(
        images_per_second,
        inference_images_per_second or 3 * images_per_second,
        decoded_per_second,
        bandwidth * 1e9,
    )
    print(
        f"{run.model.name} at {run.data.image_size} pixels, {trained:,} parameters that train, "
        f"{epochs} epochs; {device}: {images_per_second:g} images/s training, "
        f"{rates.inference:g} images/s inference, {price:g} an hour (an example, no quote)\n"
    )
    _table(
        ("studies", *(f"{n} × {device}" for n in devices)),
        [
            (
                f"{count:,}",
                *(_cell(count, n, epochs, per_device, 4 * trained, rates, price) for n in devices),
            )
            for count in studies
        ],
    )
    side = run.data.image_size
    print()
    _table(
        ("studies", "files", "decoded, grey", "decoding once, one host"),
        [
            (
                f"{count:,}",
                _size(count * kilobytes_per_file * 1e3),
                _size(count * side**2),
                _time(count / rates.decoding),
            )
            for count in studies
        ],
    )
    print()
    _table(
        ("devices", "batch", "gradients sent by each in a step", "seconds at most", "of a step"),
        [_step(n, per_device, 4 * trained, rates) for n in devices],
    )


def _refuse_below_zero(flags: dict[str, Sequence[float | None]]) -> None:
    """None is what was not given.

    Raises:
      UserError: a value is zero, less, or no number; all of them at once.
    """
    problems = [
        f"{name} is {value:g}; write a number above zero"
        for name, values in flags.items()
        for value in values
        if value is not None and not 0 < value < math.inf
    ]
    if problems:
        raise InputError("\n".join(problems))


def _cell(
    count: int,
    devices: int,
    epochs: int,
    per_device: int,
    gradients: int,
    rates: Rates,
    price: float,
) -> str:
    seconds = run_seconds(Job(count, epochs, devices, per_device, gradients), rates)
    return f"{_time(seconds)}, {seconds / 3600 * devices * price:,.2f}"


def _step(devices: int, per_device: int, gradients: int, rates: Rates) -> tuple[str, ...]:
    job = Job(0, 0, devices, per_device, gradients)
    travels, step = exchange(job, rates), per_device / rates.training
    sent = travels * rates.bandwidth
    return (
        str(devices),
        str(devices * per_device),
        _size(sent),
        f"{travels:.3g}",
        f"{travels / (travels + step):.1%}",
    )


def _time(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:.0f} s"


def _size(count: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e3:,.0f} kB"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    for row in (head, ("---",) * len(head), *rows):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
