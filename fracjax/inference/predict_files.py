"""Files to results: reading, both stages and their answers overlap; results keep the files' order.

The host decodes ahead in threads and gives the devices batch after batch without waiting; a thread
of its own fetches what they answer. The classifier sees only what passes the detector, in full
batches: files are cut into runs that hold as many of them as fill one.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32, UInt8

from fracjax.errors import InputError
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.input_files import read_ahead
from fracjax.inference.network_programs import BatchAnswer
from fracjax.inference.prediction_files import Result
from fracjax.inference.stages import Stages
from fracjax.runtime.sharding import batch_sharding

_IN_FLIGHT = 2  # batches of a stage that the devices have been given, at most
# Batches of the detector that the classifier waits for, at most: results come in order, so a rare
# fracture that waits for others holds up all files after it.
_PATIENCE = 8


@dataclass
class ThroughputMeter:
    """Seconds of a prediction, and in how many of them the devices had nothing to do."""

    # from when the programs are compiled (the first files are read by then) to the last result,
    # without what the one who takes the results does between two of them.
    seconds: float = 0.0
    waited: float = 0.0  # of them, those in which the devices waited for images
    _begun: float = field(default=0.0, repr=False)
    _idle_since: float = field(default=0.0, repr=False)

    def begin(self) -> None:
        """Count from here on."""
        self.waited = 0.0
        self._begun = self._idle_since = perf_counter()

    def finished(self, started: float) -> None:
        """The devices have done a batch that they were given at `started`; batches in order."""
        self.waited += max(0.0, started - self._idle_since)
        self._idle_since = perf_counter()

    def resumed(self, paused: float) -> None:
        """Results were handed over at `paused`, and more of them are asked for now."""
        now = perf_counter()
        self._begun += now - paused
        self._idle_since = max(self._idle_since, now)

    def end(self) -> None:
        """The last result is there."""
        self.seconds = perf_counter() - self._begun


def predict_files(
    stages: Stages,
    files: Sequence[Path],
    *,
    batch_size: int | None = None,
    keep_images: bool = False,
    keep_features: bool = False,
    meter: ThroughputMeter | None = None,
) -> Generator[Result, None, None]:
    """What the stages say of each file, in the order of the files; lazily, in bounded memory.

    A file that cannot be read gets its reason. Images are decoded as in training, each stage's, and
    of several runs each run's, in its own form. Probabilities are those of `ModelBundle.predict` up
    to float32's rounding, which depends on the batch. Of several views of a study
    (`augment.test_views`), a file's are the same whatever other files there are: as of the first
    study of a part.

    Batches of either stage hold `batch_size` images, by default as in training. `keep_images`
    leaves in each result what the detector (of several runs the first) saw, its map, if there is
    one, and what that is a map of; `keep_features` what entered the heads, of stages that are one
    run. The `meter` is told how long the devices waited for images. Close what is returned if it is
    not used up: its threads end then.
    """
    meter = meter or ThroughputMeter()
    fetching = ThreadPoolExecutor(1, "fetch")
    devices = stages.detector.bundle.mesh.size
    whole = batch_size and -(-batch_size // devices) * devices  # what they can share
    programs = [
        StageProgram(it, whole or it.batch_size, fetching, meter, keep_features)
        for it in stages.bundles
    ]
    forms = [form for bundle in stages.bundles for form in bundle.forms]
    ahead = (_IN_FLIGHT + 1) * programs[0].batch_size
    reads = read_ahead(files, forms, ahead=ahead)
    try:
        for program in programs:
            program.warm_up()
        meter.begin()
        marker = stages.detector.marker
        kept = 1 + (0 if marker is None else forms.index(marker.grid.form)) if keep_images else 0
        done = _detected((Result(**vars(read)) for read in reads), stages, programs[0], kept)
        if stages.classifier is not None:
            window = _PATIENCE * programs[0].batch_size
            done = _typed(done, stages, programs[1], window, kept)
        for file in done:
            paused = perf_counter()
            yield file
            meter.resumed(paused)
        meter.end()
    finally:
        reads.close()
        fetching.shutdown(cancel_futures=True)


class Answer(NamedTuple):
    """What a stage says of a batch."""

    probabilities: Float[np.ndarray, "m k"]
    features: Float32[np.ndarray, "m ..."] | None  # what entered the heads, if it is wanted
    maps: Float32[np.ndarray, "m g g"] | None  # of findings, of networks that have one


_Squares = tuple[UInt8[np.ndarray, "_ _ _"], ...]
"""An image in each form of a stage."""


@dataclass(frozen=True)
class StageProgram:
    """A stage that takes batches of one size, and has the answers fetched meanwhile.

    Raises:
      InputError: (by the answer) numbers that are not finite.
    """

    bundle: Bundle
    batch_size: int  # smaller batches are filled up, so that there is one program
    fetching: ThreadPoolExecutor
    meter: ThroughputMeter
    keep_features: bool = False

    def start(self, images: Sequence[_Squares]) -> Future[Answer]:
        """Give the devices a batch; what is said of its images, when it is there."""
        filled = [*images, *[images[0]] * (self.batch_size - len(images))]
        batches = [np.stack(squares) for squares in zip(*filled, strict=True)]  # by form
        started = perf_counter()
        seen = jax.device_put(batches, batch_sharding(self.bundle.mesh))
        # An ensemble has no features to give.
        how = {"features": True} if self.keep_features else {}
        answer = self.bundle.answer(*seen, **how)
        return self.fetching.submit(self._fetch, answer, len(images), started)

    def warm_up(self) -> None:
        """Compile the program, on a black image."""
        sizes = [(form.side, form.side, form.channels) for form in self.bundle.forms]
        self.start([tuple(np.zeros(size, np.uint8) for size in sizes)]).result()

    def _fetch(self, answer: BatchAnswer, count: int, started: float) -> Answer:
        logits, each, maps = jax.device_get(answer)
        self.meter.finished(started)
        if not all(np.isfinite(view).all() for views in logits for view in views):
            raise InputError(
                f"{self.bundle.workdir} answers with numbers that are not finite: its network is "
                "damaged; train it again, or restore its checkpoints"
            )
        joined = each[0] if len(each) == 1 else np.stack(each, axis=1) if each else None
        rest = (None if of is None else of[:count] for of in (joined, maps))
        return Answer(self.bundle.probabilities_of(logits)[:count], *rest)


def _detected(
    files: Iterable[Result], stages: Stages, program: StageProgram, kept: int
) -> Iterator[Result]:
    """The files with the detector's answer."""
    classes, point = stages.detector.bundle.meta.classes, stages.detector.point
    runs = _runs(files, lambda file: not file.reason, program.batch_size)
    own = slice(len(stages.detector.bundle.forms))
    marker = stages.detector.marker
    for run, batch, (probabilities, features, maps) in _answered(runs, program, own):
        scores = probabilities[:, 1]
        if marker is not None and maps is not None:
            marks = marker.mark(maps, [file.size for file in batch])
            for file, heat, shown in zip(batch, maps, marks, strict=True):
                file.marks, file.map = shown, heat if kept else None
        for file, row in zip(batch, () if features is None else features, strict=False):
            file.features = row
        for file, score, called in zip(batch, scores, point.calls(scores), strict=True):
            file.probability, file.decision = float(score), classes[int(called)]
            if not called or stages.classifier is None:
                file.images = file.images[:kept]  # it may wait long for a file before it
        yield from run


def _typed(
    files: Iterable[Result], stages: Stages, program: StageProgram, window: int, kept: int
) -> Iterator[Result]:
    """The files with the classifier's answer, where they passed the detector."""
    fracture, types = (bundle.meta.classes for bundle in stages.bundles)
    own = slice(len(stages.detector.bundle.forms), None)
    runs = _runs(files, lambda file: file.decision == fracture[1], program.batch_size, window)
    for run, batch, (probabilities, features, _) in _answered(runs, program, own):
        for file, row in zip(batch, () if features is None else features, strict=False):
            file.features_stage2 = row
        for file, row in zip(batch, probabilities, strict=True):
            file.types = dict(zip(types, map(float, row), strict=True))
            file.type = max(file.types, key=file.types.__getitem__)
            file.images = file.images[:kept]
        yield from run


_Run = tuple[list[Result], list[Result]]
"""Files in their order, and those of them that make a batch."""


def _runs(
    files: Iterable[Result], chosen: Callable[[Result], bool], size: int, window: int | None = None
) -> Iterator[_Run]:
    """Cut files into runs of `size` that are chosen, or of `window` files from the first of them.

    Files before the first that is chosen wait for nothing: each is a run of its own.
    """
    run: list[Result] = []
    batch: list[Result] = []
    for file in files:
        run.append(file)
        if chosen(file):
            batch.append(file)
        if not batch or len(batch) == size or len(run) == window:
            yield run, batch
            run, batch = [], []
    if run:
        yield run, batch


def _answered(
    runs: Iterable[_Run], program: StageProgram, own: slice
) -> Iterator[tuple[list[Result], list[Result], Answer]]:
    """The files of each run, its batch, and the answer to that, to its images of `own` forms."""
    nothing: Future[Answer] = Future()
    nothing.set_result(Answer(np.zeros((0, 2)), None, None))
    flying: deque[tuple[_Run, Future[Answer]]] = deque()
    for run in runs:
        images = [file.images[own] for file in run[1]]
        flying.append((run, program.start(images) if images else nothing))
        while flying and (
            sum(answer is not nothing for _, answer in flying) > _IN_FLIGHT or flying[0][1].done()
        ):
            oldest, answer = flying.popleft()
            yield *oldest, answer.result()
    for left, answer in flying:
        yield *left, answer.result()
