"""Where did the network look? The same as `fracjax explain`."""

from fracjax.cli.main import run

if __name__ == "__main__":
    run("explain")
