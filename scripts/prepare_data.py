"""Prepare a dataset, as `fracjax prepare` does; `prepare_data.py show` is `fracjax show`."""

import sys

from fracjax.cli.main import run

if __name__ == "__main__":
    run(sys.argv.pop(1) if sys.argv[1:2] == ["show"] else "prepare")
