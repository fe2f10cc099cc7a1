"""Convert a Keras file of ImageNet weights, as `fracjax convert` does."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("convert")
