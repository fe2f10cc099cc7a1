"""Train a run, or continue one, as `fracjax train` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("train")
