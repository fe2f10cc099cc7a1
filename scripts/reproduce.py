"""Train, evaluate and cascade every system of the paper, as `fracjax reproduce` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("reproduce")
