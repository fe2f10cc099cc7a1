"""Evaluate both stages together, as `fracjax cascade` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("cascade")
