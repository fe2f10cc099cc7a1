"""Draw a sheet of phantoms, as `fracjax show-phantoms` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("show-phantoms")
