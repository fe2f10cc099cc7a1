"""`fracjax reproduce` and `ablate`: many runs at once, and the page of their figures."""

from pathlib import Path

import tyro

from fracjax.runtime.multihost import main_console


def reproduce(
    systems: tuple[str, ...] = ("all",),
    minutes: float = 8.0,
    jobs: int = 4,
    out: Path = Path("docs/results.md"),
    sources: tuple[Path, ...] = (),
) -> int:
    """Train, evaluate and cascade every system of the paper, several at once; write their page.

    What is done is not done again, and what was cut short goes on. A system whose data or weights
    are missing, or that fails, is a line on the page. Workdirs are those of the configs, below the
    current folder; logs are in runs/reproduce. The exit code is 1 if a job failed.

    Args:
      systems: names of packaged configs, config files of your own, and sets: all, core (meant for
        nine minutes of one H100), paper, cpu. What they need, as the detector in front of a
        classifier, is added.
      minutes: after these everything stops in good order, and the same command goes on; 0 writes
        the page of what is there.
      jobs: processes at once; they share the device.
      out: the page.
      sources: folders with datasets (FracAtlas.zip, bone_break, ...) and Keras files of ImageNet
        weights, to prepare what is missing from.
    """
    from fracjax.workflows import reproduce as workflow
    from fracjax.workflows.side_by_side import Limits

    request = workflow.Request(systems, Limits(minutes, jobs, sources), out)
    return int(not workflow.reproduce(request, main_console()))


def ablate(
    base: tyro.conf.Positional[Path],
    /,
    levers: tuple[str, ...] = (),
    folds: int = 5,
    seeds: int = 1,
    minutes: float = 8.0,
    jobs: int = 4,
    sources: tuple[Path, ...] = (),
) -> int:
    """Compare changes of a detector's recipe, one at a time, out of fold; test is not touched.

    Each is trained in grouped folds of the training and validation studies, and each study is
    predicted by the network that did not train on it: AUC, paired difference from the base by
    DeLong, p. What is done is not done again; the same command goes on. Runs and figures are in
    runs/ablation, and `fracjax reproduce` puts the table on its page. The exit code is 1 if a job
    failed.

    Args:
      base: config of the recipe: a file, or the name of a packaged one.
      levers: which changes, of those in fracjax/workflows/levers.py; by default all that the base
        does not have.
      folds: how many.
      seeds: runs of each, with the base's seed, the next one, ...; the AUC is their mean.
      minutes: after these everything stops in good order; 0 compares what is there.
      jobs: processes at once; they share the device.
      sources: folders with datasets and Keras files, to prepare what is missing from.
    """
    from fracjax.workflows import ablate as workflow
    from fracjax.workflows.side_by_side import Limits

    limits = Limits(minutes, jobs, sources)
    request = workflow.Request(str(base), levers, folds, seeds, limits)
    return int(not workflow.ablate(request, main_console()))
