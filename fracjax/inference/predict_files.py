"""Files to results: reading, both stages and their answers overlap; results keep the files' order.

The host decodes ahead in threads and gives the devices batch after batch without waiting; a thread
of its own fetches what they answer. The classifier sees only what passes the detector, in full
batches gathered from many of the detector's.
"""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from fracjax.inference.prediction_files import Result
from fracjax.inference.prefetch import DecodedFile, read_ahead
from fracjax.inference.stages import Running, Stages
from fracjax.inference.throughput import ThroughputMeter

_IN_FLIGHT = 2  # batches of a stage that the devices have been given, at most
# Batches of the detector after which the classifier runs with what there is: results come in
# order, so a rare fracture that waits for others holds up all files after it.
_PATIENCE = 8


def predict_files(
    stages: Stages,
    files: Sequence[Path],
    *,
    batch_size: int | None = None,
    threads: int | None = None,
    keep_pictures: bool = False,
    meter: ThroughputMeter | None = None,
) -> Generator[Result, None, None]:
    """What the stages say of each file, in the order of the files; lazily, in bounded memory.

    A file that cannot be read gets its reason. Pictures are decoded as in training, each stage's in
    its own form. Probabilities are those of `ModelBundle.predict` up to float32's rounding, which
    hangs on the batch. Of several views of a study (`augment.test_views`), a file's are the same
    whatever other files there are: as of the first study of a part.

    Close what is returned if it is not used up: its threads end then.

    Args:
      stages: of `open_stages`.
      files: of `find_files`.
      batch_size: pictures per batch of either stage; by default as in training.
      threads: that read and decode; as many as there are cores by default.
      keep_pictures: leave in each result what the detector saw.
      meter: is told how long the devices waited for pictures.
    """
    meter = meter or ThroughputMeter()
    fetching = ThreadPoolExecutor(1, "fetch")
    runs = [Running(trained, batch_size, fetching, meter) for trained in stages.trained]
    flow = _Flow(stages, runs, keep_pictures)
    forms = [trained.meta.form for trained in stages.trained]
    ahead = (_IN_FLIGHT + 1) * runs[0].batch_size
    reads = read_ahead(files, forms, ahead=ahead, threads=threads)
    try:
        for run in runs:
            run.warm_up()
        meter.begin()
        for read in reads:
            flow.add(read)
            yield from _handed_over(flow.ready(), meter)
        flow.finish()
        yield from _handed_over(flow.ready(), meter)
        meter.end()
    finally:
        reads.close()
        fetching.shutdown(cancel_futures=True)


def _handed_over(results: list[Result], meter: ThroughputMeter) -> Generator[Result, None, None]:
    for result in results:
        left = perf_counter()
        yield result
        meter.away(left)


@dataclass(eq=False)
class _File:
    """A file on its way."""

    read: DecodedFile
    answer: dict[str, Any] = field(default_factory=dict)
    done: bool = False


class _Queue:
    """One stage: files that wait for a full batch, and batches that the devices have."""

    def __init__(self, running: Running, which: int) -> None:
        self.waiting: list[_File] = []
        self.patience = 0
        self._running, self._which = running, which
        self._given: deque[tuple[list[_File], Future]] = deque()

    @property
    def full(self) -> bool:
        return len(self.waiting) == self._running.batch_size

    def give(self) -> None:
        files, self.waiting, self.patience = self.waiting, [], 0
        pictures = [file.read.pictures[self._which] for file in files]
        self._given.append((files, self._running.start(pictures)))

    def answered(self, leave: int) -> list[tuple[_File, Any]]:
        """Files with their probabilities of the oldest batches, until `leave` are in flight."""
        pairs = []
        while len(self._given) > leave:
            files, probabilities = self._given.popleft()
            pairs += zip(files, probabilities.result(), strict=True)
        return pairs


class _Flow:
    """Where each file is between reader and result. What it does hangs on no clock."""

    def __init__(self, stages: Stages, runs: list[Running], keep_pictures: bool) -> None:
        self._stages, self._keep = stages, keep_pictures
        self._order: deque[_File] = deque()
        self._detector = _Queue(runs[0], 0)
        self._classifier = _Queue(runs[1], 1) if len(runs) > 1 else None

    def add(self, read: DecodedFile) -> None:
        file = _File(read)
        self._order.append(file)
        if read.reason:
            self._finish(file)
            return
        self._detector.waiting.append(file)
        if self._detector.full:
            self._detector.give()
            self._detected(leave=_IN_FLIGHT)

    def finish(self) -> None:
        if self._detector.waiting:
            self._detector.give()
        self._detected(leave=0)
        if self._classifier is not None:
            if self._classifier.waiting:
                self._classifier.give()
            self._typed(leave=0)

    def ready(self) -> list[Result]:
        """Results that nothing before them is waited for."""
        results = []
        while self._order and self._order[0].done:
            results.append(_result(self._order.popleft()))
        return results

    def _detected(self, leave: int) -> None:
        meta, point = self._stages.front.detector.meta, self._stages.front.point
        for file, probabilities in self._detector.answered(leave):
            score = float(probabilities[1])
            passes = point.calls(score)
            file.answer = {"probability": score, "decision": meta.classes[int(passes)]}
            if passes and self._classifier is not None:
                self._classifier.waiting.append(file)
                if self._classifier.full:
                    self._classifier.give()
            else:
                self._finish(file)
        if self._classifier is not None:
            if self._classifier.waiting:
                self._classifier.patience += 1
            if self._classifier.patience > _PATIENCE:
                self._classifier.give()
            self._typed(leave=_IN_FLIGHT)

    def _typed(self, leave: int) -> None:
        if self._classifier is None or self._stages.classifier is None:
            return
        classes = self._stages.classifier.meta.classes
        for file, probabilities in self._classifier.answered(leave):
            types = dict(zip(classes, map(float, probabilities), strict=True))
            file.answer |= {"type": max(types, key=types.__getitem__), "types": types}
            self._finish(file)

    def _finish(self, file: _File) -> None:
        """Drop the pictures: the file may wait long for one before it."""
        kept = file.read.pictures[:1] if self._keep else ()
        file.read, file.done = replace(file.read, pictures=kept), True


def _result(file: _File) -> Result:
    read = file.read
    picture = read.pictures[0] if read.pictures else None
    return Result(read.path, read.reason, read.note, **file.answer, picture=picture)
