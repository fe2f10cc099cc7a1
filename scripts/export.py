"""Export trained stages as one file, as `fracjax export` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("export")
