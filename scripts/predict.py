"""Predict pictures, as `fracjax predict` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("predict")
