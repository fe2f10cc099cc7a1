"""Stream mode: batches read from the disk by grain, ahead of the step, onto the devices."""

import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import grain
import jax
import numpy as np
from absl import flags
from jax.sharding import NamedSharding
from jaxtyping import Float32, Int

from fracjax.loading.batch import Batch, Examples
from fracjax.loading.sampling import draw_order
from fracjax.runtime.sharding import process_of


@dataclass(frozen=True)
class BatchSource:
    """Random access to the batches of one pass; batch `i` is the same whenever it is asked for.

    So the place in a pass is all the state that reading has, and a checkpoint needs no more of it.
    """

    examples: Examples
    order: Int[np.ndarray, " m"]  # places of them
    batch_size: int  # over all processes together
    class_weights: Float32[np.ndarray, " k"] | None = None  # in the loss; None for 1

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        return self.part(number, 0, 1)

    def part(self, number: int, process: int, processes: int) -> Batch:
        """What one of several processes reads of a batch."""
        size = self.batch_size // processes
        place = number * self.batch_size + process * size + np.arange(size)
        index = self.order[place % len(self.order)]
        label = self.examples.label[index].astype(np.int32)
        weights = self.class_weights
        batch = Batch(
            image=self.examples.images(index),
            label=label,
            weight=np.ones(size, np.float32) if weights is None else weights[label],
            valid=place < len(self.order),
            index=index.astype(np.int32),
        )
        if self.examples.second is not None:
            batch["second"] = self.examples.second[index]
        if self.examples.outlines is not None:
            batch["outline"], batch["outlined"] = self.examples.outlines.of(index)
        return batch


def training_batches(
    examples: Examples,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    oversample: bool = False,
    positives: int = 0,
    class_weights: Float32[np.ndarray, " k"] | None = None,
) -> BatchSource:
    """The shuffled batches of one epoch; `oversample` and `positives` as of `draw_order`."""
    how = {"oversample": oversample, "batch_size": batch_size, "positives": positives}
    order = draw_order(examples.label, seed=seed, epoch=epoch, **how)
    return BatchSource(examples, np.asarray(order), batch_size, class_weights)


def evaluation_batches(examples: Examples, *, batch_size: int) -> BatchSource:
    """Every study once, in order."""
    return BatchSource(examples, np.arange(len(examples)), batch_size)


def steps_per_epoch(examples: Examples, *, batch_size: int, oversample: bool = False) -> int:
    """Batches of one epoch of training."""
    counts = np.bincount(examples.label)
    studies = counts.max() * np.count_nonzero(counts) if oversample else counts.sum()
    return -(-int(studies) // batch_size)


@dataclass(frozen=True)
class StackedSource:
    """Batches of several models, stacked models first; of a single one as they are.

    A model whose pass is over is idle: a batch without a valid study.
    """

    sources: Sequence[BatchSource | None]  # the pass of each model; None if it is idle throughout
    begin: Sequence[int]  # the batch of each at which to begin

    def __len__(self) -> int:
        own = zip(self.sources, self.begin, strict=True)
        return max((len(source) - begin for source, begin in own if source), default=0)

    def part(self, number: int, process: int, processes: int) -> Batch:
        """What one of several processes reads of the batches."""
        batches = [
            source.part(begin + number, process, processes)
            if source and begin + number < len(source)
            else None
            for source, begin in zip(self.sources, self.begin, strict=True)
        ]
        like = next(batch for batch in batches if batch is not None)
        if len(batches) == 1:
            return like
        idle = {**like, "valid": np.zeros_like(like["valid"])}
        return jax.tree.map(lambda *leaves: np.stack(leaves), *(batch or idle for batch in batches))


def _leave_signals(*_: int) -> None:
    """Of a worker: what ends a run reaches all of its processes, and the first one ends the others.

    It reads on until its step is finished and saved.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def stream(
    source: BatchSource | StackedSource, sharding: NamedSharding, *, workers: int = 0
) -> Generator[Batch, None, None]:
    """Read a pass ahead of its use: a few batches on the host, two of them on the devices.

    Of several processes each reads what its devices take, by `workers` processes of its own or, if
    there are none, by threads. Workers take seconds to start for each pass: they pay where reading
    does not keep up, and passes are long.

    Close what is returned if it is not used up: left to the garbage collector, its readers are
    joined in a finaliser, where Python swallows an interrupt.
    """
    to_devices = partial(jax.make_array_from_process_local_data, sharding)
    threads = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    process, processes = process_of(sharding)
    ours = partial(source.part, process=process, processes=processes)
    ahead = grain.MapDataset.range(len(source)).map(ours).to_iter_dataset(threads)
    if workers:
        if not flags.FLAGS.is_parsed():  # grain reads absl's flags, which are not this program's
            flags.FLAGS.mark_as_parsed()
        ahead = ahead.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers), _leave_signals)
    placed = ahead.map(lambda batch: jax.tree.map(to_devices, batch))
    batches = iter(grain.experimental.ThreadPrefetchIterDataset(placed, prefetch_buffer_size=2))
    try:
        yield from batches
    finally:
        batches.close()
