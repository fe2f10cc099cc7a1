"""`fracjax reproduce`: every system of the paper, and the page of their figures."""

from pathlib import Path

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
      systems: names of packaged configs, config files of your own, and sets: all, core (which fits
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

    request = workflow.Request(systems, minutes, jobs, out, sources)
    return int(not workflow.reproduce(request, main_console()))
