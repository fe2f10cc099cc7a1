"""Train one network, or continue a run that was cut short.

python scripts/train.py --config configs/stage1.py [--dry-run] [--data.batch-size 16 ...]

--config FILE is a Python file with get_config(), configs/stage1.py by default. --dry-run prints the
resolved config and the network's table, and touches no data. --profile [STEPS] writes a trace of
five steps, or of so many, into WORKDIR/profile, for Perfetto or XProf. All else are fields of the
config:
"""

import argparse
from pathlib import Path

from fracjax.cli.errors import door
from fracjax.config import io
from fracjax.errors import InputError
from fracjax.runtime.multihost import main_console
from fracjax.runtime.multihost_init import start


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=Path("configs/stage1.py"))
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--profile", type=_steps, nargs="?", const=5, default=0, metavar="STEPS")
    ours, overrides = parser.parse_known_args()
    config = io.load(ours.config, overrides, __doc__ or "")
    if not ours.dry_run:
        start()
    console = main_console()
    # Imported late, so that --help and a misspelt flag are answered at once.
    from fracjax.training.ensemble_configs import is_sweep
    from fracjax.training.loop import fit_members
    from fracjax.workflows.sweep import show_sweep
    from fracjax.workflows.train import show_config, show_network, show_run

    if ours.dry_run:
        show_config(config, console)
        show_network(config, console)
    else:
        metas = fit_members(config, console, profile_steps=ours.profile)
        show = show_sweep if is_sweep(config) else show_run
        show(config.workdir, metas, console)


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--profile is {text}; write how many steps to trace, 1 or more")
    return int(text)


if __name__ == "__main__":
    with door():
        main()
