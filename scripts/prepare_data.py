"""Prepare one dataset: audit every picture, write records, a manifest and a split.

python scripts/prepare_data.py phantom
python scripts/prepare_data.py fracatlas --source FracAtlas.zip
python scripts/prepare_data.py folder --source my_xrays --classes healthy fracture

Look at a prepared one, before and after each augmentation of a config (show --help says more):

python scripts/prepare_data.py show phantom --config configs/stage2_inception.py
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fracjax.cli.errors import door
from fracjax.datasets.request import Request


def main() -> None:
    request = tyro.cli(Request, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
    # Imported late, so that --help and a misspelt flag are answered at once.
    from fracjax.datasets.prepare import prepare

    print(prepare(request))


def show(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")],
    /,
    config: Path,
    data_dir: Path | None = None,
    part: Literal["train", "validation", "test"] = "train",
    studies: int = 4,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """Draw studies of a prepared dataset before and after each augmentation of a config.

    Args:
      name: prepared dataset, with all of its classes.
      config: file in configs/; says how pictures are decoded and augmented.
      data_dir: folder of the prepared datasets; None for the config's.
      part: of the split.
      studies: number of studies, of the classes in turn.
      out: PNG file to write; None for show_NAME.png.
      seed: of the choice of studies and of every draw.
    """
    from fracjax.config.io import load
    from fracjax.workflows.show import show as draw

    path = out or Path(f"show_{name}.png")
    draw(
        name,
        load(config),
        path,
        source=config.name,
        data_dir=data_dir,
        part=part,
        studies=studies,
        seed=seed,
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    with door():
        if sys.argv[1:2] == ["show"]:
            tyro.cli(show, prog="prepare_data.py show", args=sys.argv[2:])
        else:
            main()
