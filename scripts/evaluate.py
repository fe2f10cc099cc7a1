"""Evaluate one run, or compare two, as `fracjax evaluate` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("evaluate")
