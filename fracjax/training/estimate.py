"""How long a run will take on this machine: one step of each phase, timed, times what is ahead."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh

from fracjax.config import Config
from fracjax.loading.batch import Examples, Outlines
from fracjax.loading.dataset_view import Dataset, open_dataset
from fracjax.loading.sampling import subset_rows
from fracjax.loading.streaming import evaluation_batches, training_batches
from fracjax.runtime.randomness import root
from fracjax.runtime.sharding import batch_sharding, replicate
from fracjax.training import losses
from fracjax.training.ensemble_configs import member_configs
from fracjax.training.forward import make_forward
from fracjax.training.model import TrainableModel, init
from fracjax.training.step import StepSpec, make_step


@dataclass(frozen=True)
class PhaseTime:
    """What a phase takes of one network."""

    compiling: float  # seconds, with a first step and a first validation batch
    step: float  # seconds of a training step
    batch: float  # seconds of a validation batch
    steps: int  # of an epoch
    batches: int  # of a validation
    epochs: int  # at most

    @property
    def seconds(self) -> float:
        """All epochs, and compiling once."""
        return self.compiling + self.epochs * (self.steps * self.step + self.batches * self.batch)


@dataclass(frozen=True)
class RunTime:
    """An estimate of a whole run, as long as nothing stops it early."""

    phases: tuple[PhaseTime, ...]
    features: float  # seconds for those of a frozen prefix, before the first step
    networks: int  # trained one after the other, or in one program that takes as long
    device: str

    @property
    def seconds(self) -> float:
        """Of all networks; they are compiled once, or in one program."""
        compiling = sum(phase.compiling for phase in self.phases)
        training = sum(phase.seconds for phase in self.phases) - compiling
        return compiling + self.networks * (self.features + training)

    def __str__(self) -> str:
        """A sentence for people, which says what it is and what it leaves out."""
        parts = [
            f"{phase.epochs} epochs of {phase.steps} steps of {phase.step:.3g} s and "
            f"{phase.batches} validation batches of {phase.batch:.3g} s"
            for phase in self.phases
        ]
        if self.features:
            parts.insert(0, f"features of the frozen blocks {duration(self.features)}")
        networks = f", {self.networks} networks" if self.networks > 1 else ""
        compiling = duration(sum(phase.compiling for phase in self.phases))
        return (
            f"estimate for {self.device}{networks}: at most {duration(self.seconds)}; compiling "
            f"{compiling}, {', then '.join(parts)}. From one step of each phase, timed; a phase "
            "that stops early is shorter; decoding, checkpoints and other programs are not in it"
        )


def estimate(
    config: Config, mesh: Mesh, *, now: Callable[[], float] = time.perf_counter
) -> RunTime:
    """Compile every phase of a run, take one step of each on blank images, and multiply.

    Nothing is decoded, and weights are drawn; a detector's filter would leave fewer studies.

    Raises:
      InputError: its dataset is not prepared.
    """
    dataset, networks = open_dataset(config.data), member_configs(config)
    largest = networks[-1]  # of a learning curve; others are alike
    config = dataclasses.replace(largest, model=dataclasses.replace(config.model, weights=None))
    model, count = init(config), config.freeze.cached_views
    timer = _Timer(config, model, mesh, now)
    train, validation = (_blank(dataset, config, part) for part in ("train", "validation"))
    features = 0.0
    if count:
        prefix = model.frozen_prefix
        assert prefix is not None, "check_config came first"
        _, batch, shape = timer.forward(validation, stop=prefix)
        size = config.data.batch_size
        features = batch * (count * -(-len(train) // size) + -(-len(validation) // size))
        image = np.broadcast_to(np.zeros((), np.float16), shape)
        train, validation = (
            dataclasses.replace(one, image=np.broadcast_to(image[:1], (len(one), *shape[1:])))
            for one in (train, validation)
        )
    start = model.frozen_prefix if count else None
    phases = [timer.phase(number, train, validation, start) for number in range(len(config.phases))]
    device = mesh.devices.flat[0].device_kind
    name = f"{mesh.size} × {device}" if mesh.size > 1 else device
    return RunTime(tuple(phases), features, len(networks), name)


class _Timer:
    """Programs of a run, compiled and run twice."""

    def __init__(
        self, config: Config, model: TrainableModel, mesh: Mesh, now: Callable[[], float]
    ) -> None:
        self._config, self._model, self._mesh, self._now = config, model, mesh, now
        self._state = model.initial_state(0, mesh)

    def _twice(self, run: Callable[[], object]) -> tuple[float, float]:
        """Seconds of the first time, which compiles, and of the second."""
        moments = [self._now()]
        for _ in range(2):
            jax.block_until_ready(run())
            moments.append(self._now())
        return moments[1] - moments[0], moments[2] - moments[1]

    def forward(
        self, examples: Examples, start: str | None = None, stop: str | None = None
    ) -> tuple[float, float, tuple[int, ...]]:
        """Seconds of a first and of another batch in inference mode; shape of what comes out."""
        colormap = self._config.data.colormap
        program = make_forward(
            self._model.model,
            image=self._model.image,
            mesh=self._mesh,
            start=start,
            stop=stop,
            colormap=colormap,
        )
        batch = evaluation_batches(examples, batch_size=self._config.data.batch_size)[0]
        image = jax.device_put(batch["image"], batch_sharding(self._mesh))
        shape = jax.eval_shape(program, self._state.variables, image, None).shape
        return *self._twice(lambda: program(self._state.variables, image, None)), shape

    def phase(
        self, number: int, train: Examples, validation: Examples, start: str | None
    ) -> PhaseTime:
        how, mesh = self._config.data, self._mesh
        spec = StepSpec(
            self._model.training_view(number), self._model.optimizer(number), self._config, start
        )
        source = training_batches(
            train,
            batch_size=how.batch_size,
            seed=self._config.train.seed,
            epoch=0,
            oversample=how.oversample,
            positives=how.positives_per_batch,
            class_weights=losses.class_weights(train.label, len(how.classes), self._config.loss),
        )
        batch = jax.device_put(source[0], batch_sharding(mesh))
        key = replicate(mesh, root(self._config.train.seed))
        step, state = make_step(spec, mesh), self._model.initial_state(number, mesh)

        def take() -> object:
            nonlocal state  # donated to the step
            state, metrics = step(state, batch, key, np.float32(1e-6))
            return state, metrics

        first, again = self._twice(take)
        first_batch, another, _ = self.forward(validation, start)
        return PhaseTime(
            compiling=first + first_batch,
            step=again,
            batch=another,
            steps=len(source),
            batches=len(evaluation_batches(validation, batch_size=how.batch_size)),
            epochs=self._config.phases[number].epochs,
        )


def _blank(dataset: Dataset, config: Config, part: str) -> Examples:
    """The studies of a part with black images, which take no memory."""
    dataset = dataclasses.replace(dataset, data=config.data)
    index, form = dataset.indices(part), dataset.form
    prepared = dataset.prepared
    shape = (len(index), form.side, form.side, form.channels)
    examples = Examples(
        study=prepared.study[index],
        image=np.broadcast_to(np.zeros((), np.uint8), shape),
        label=dataset.labels(index),
        group=prepared.group[index],
        attributes={name: column[index] for name, column in prepared.attributes.items()},
    )
    if part == "train" and config.model.localise:
        blank = np.zeros((1, form.side, form.side), np.uint8)
        outlines = Outlines(blank, np.zeros(len(index), np.int32))
        examples = dataclasses.replace(examples, outlines=outlines)
    if part == "train" and config.data.subset < 1:
        how = {"fraction": config.data.subset, "seed": config.train.seed}
        examples = examples.take(subset_rows(examples.label, examples.group, **how))
    return examples


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
