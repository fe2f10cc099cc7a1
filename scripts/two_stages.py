"""Train and evaluate both stages, as `fracjax two-stages` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("two-stages")
