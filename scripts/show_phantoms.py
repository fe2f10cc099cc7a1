"""Draw a sheet of phantoms, one of each kind, with the box of the break.

python scripts/show_phantoms.py --out phantoms.png [--seed 0]
"""

from pathlib import Path

import tyro

from fracjax.cli.errors import door
from fracjax.workflows.show_phantoms import phantoms_png


def main(out: Path, seed: int = 0, side: int = 256) -> None:
    """Draw a sheet of phantoms.

    Args:
      out: PNG file to write.
      seed: of the first phantom.
      side: of a phantom, in pixels.
    """
    phantoms_png(out, seed=seed, side=side)
    print(f"wrote {out}")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
