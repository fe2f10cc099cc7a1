"""Pack a trained detector into one small file, as `fracjax pack` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("pack")
