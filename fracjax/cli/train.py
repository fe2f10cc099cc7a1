"""`fracjax train` and `two-stages`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fracjax.cli.process import keep_caches_in
from fracjax.config import io
from fracjax.errors import InputError
from fracjax.runtime.multihost import main_console, print_main, start

_TRAIN = """Train a run, or continue one that was cut short.

fracjax train --config stage1 [--dry-run] [--data.batch-size 16 ...]

--config names a config of the package, stage1 by default, or is the path of your own: a Python file
with get_config(). Of a file with several, as stage1_best, all are trained, one after the other;
stage1_best:2 is its second. --dry-run prints the resolved config, the network's table and, of a
prepared dataset, how long the run will take on this machine, by one step that it times; it writes
nothing.
--profile [STEPS] writes a trace of five steps, or of so many, into WORKDIR/profile, for Perfetto or
XProf. --cache-dir DIR keeps decoded images there and not with the dataset; where that cannot be
written, they are in ~/.cache/fracjax. --data.subset 0.1 0.2 0.5 1, with several values, trains one
network on each fraction (three with --sweep.seeds 3) and draws the learning curve. All else are
fields of the config:
"""


def train(words: Sequence[str], prog: str) -> None:
    """Train a run, or continue one that was cut short; errors name the config's fields as flags."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, prog=prog)
    parser.add_argument("--config", default="stage1")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--profile", nargs="?", const="5", metavar="STEPS")
    parser.add_argument("--cache-dir", type=Path)
    flags, overrides = parser.parse_known_args(words)
    keep_caches_in(flags.cache_dir)
    steps = 0 if flags.profile is None else _steps(flags.profile)
    try:
        names = io.each(flags.config)
        configs = [io.load(name, overrides, _TRAIN, prog=prog) for name in names]
        if len({config.workdir for config in configs}) < len(configs):
            raise InputError(
                f"{flags.config} has {len(configs)} configs, and workdir is {configs[0].workdir}: "
                f"leave it out, or train one of them, {names[0]}"
            )
        if not flags.dry_run:
            start()
        console = main_console()
        # Imported late, so that --help and a misspelt flag are answered at once.
        from fracjax.runtime.sharding import data_mesh
        from fracjax.training.checks import check_before_training
        from fracjax.training.ensemble_configs import is_sweep
        from fracjax.workflows.sweep import show_sweep
        from fracjax.workflows.train import (
            fit,
            show_config,
            show_estimate,
            show_model,
            show_run,
        )

        if len(configs) > 1 and not flags.dry_run:  # all of them, before the first is trained
            for config in configs:
                check_before_training(config, data_mesh())
        for config in configs:
            if flags.dry_run:
                show_config(config, console)
                show_model(config, console)
                show_estimate(config, console)
                continue
            metas = fit(config, console, profile_steps=steps)
            if config.sweep.subsets:
                # Later still: it draws, and other runs need not wait for what draws.
                from fracjax.workflows.learning_curve import show_learning_curve

                show_learning_curve(config.workdir, metas, console)
            else:
                show_result = show_sweep if is_sweep(config) else show_run
                show_result(config.workdir, metas, console)
        if len(configs) > 1 and not flags.dry_run:
            runs = " ".join(str(config.workdir) for config in configs)
            together = configs[0].workdir.with_name(Path(flags.config).stem)
            command = f"fracjax evaluate --checkpoint {runs} --split validation --out {together}"
            print_main(f"then all of them as one: {command}")
    except InputError as error:
        error.args = (io.fields_as_flags(str(error)),)  # of whichever kind it is
        raise


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--profile is {text}; write how many steps to trace, 1 or more")
    return int(text)


def two_stages(
    stage1: Path = Path("phantom_localise"),
    stage2: Path = Path("phantom_stage2"),
    cache_dir: Path | None = None,
) -> None:
    """The whole job in one command: detector, threshold, classifier, cascade.

    Args:
      stage1: config of the detector: a file, or the name of a packaged one.
      stage2: config of the classifier; it is trained on what the detector lets through.
      cache_dir: folder for decoded images; by default with the dataset or, where that cannot be
        written, the user's ~/.cache/fracjax.
    """
    keep_caches_in(cache_dir)
    configs = io.load(stage1), io.load(stage2)
    start()
    from fracjax.workflows.two_stages import run_two_stages

    folder = run_two_stages(*configs, main_console())
    print_main(f"the figures of the cascade are in {folder}; of each stage in its workdir")
