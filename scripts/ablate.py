"""Compare changes of a recipe out of fold, as `fracjax ablate` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("ablate")
