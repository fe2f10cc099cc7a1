"""`fracjax prepare`, `show`, `show-phantoms` and `convert`: what training reads."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fracjax.config.class_names import roles, show_dashes
from fracjax.datasets.request import Request
from fracjax.errors import InputError


@tyro.conf.configure(tyro.conf.PositionalRequiredArgs)
def prepare(request: Annotated[Request, tyro.conf.arg(name="")]) -> None:
    """Prepare one dataset: audit every image, write records, a manifest and a split.

    As in `fracjax prepare phantom`, `fracjax prepare fracatlas --source FracAtlas.zip`, or
    `fracjax prepare folder --source my_xrays --classes healthy fracture`. Then `fracjax show NAME
    --config CONFIG` draws what was prepared.
    """
    # Imported late, so that --help and a misspelt flag are answered at once.
    from fracjax.datasets.prepare import prepare

    (positive,), classes = show_dashes([request.positive]), show_dashes(request.classes)
    print(prepare(replace(request, classes=classes, positive=positive)))


def show(
    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE|NAME")],
    /,
    config: Path | None = None,
    data_dir: Path | None = None,
    part: Literal["train", "validation", "test"] | None = None,
    studies: int | None = None,
    out: Path | None = None,
    seed: int | None = None,
    depth: int | None = None,
) -> None:
    """Draw what picture files became, or studies of a prepared dataset, augmented.

    `fracjax show FILE...` draws each file, and those of each folder, as training and prediction see
    it, beside the histogram of its greys, and prints its notes. `fracjax show NAME --config CONFIG`
    draws studies of a prepared dataset before and after each augmentation of a config.

    Args:
      names: picture files, or folders of them; with --config one prepared dataset, with all of its
        classes.
      config: config file, or the name of a packaged one; says how images are decoded and
        augmented.
      data_dir: with --config: folder of the prepared datasets; None for the config's.
      part: with --config: of the split; None for train.
      studies: with --config: number of studies, of the classes in turn; None for 4.
      out: PNG file to write; None for show_NAME.png, or show_pictures.png of several files.
      seed: with --config: of the choice of studies and of every draw; None for 0.
      depth: of files: the bits by which files that declare none are read, as `fracjax prepare`
        printed them of a dataset; None for each by itself.
    """
    only = {"data_dir": data_dir, "part": part, "studies": studies, "seed": seed}
    given = {name: value for name, value in only.items() if value is not None}
    if config is None:
        _show_pictures([Path(name) for name in names], out, depth, sorted(given))
        return
    if len(names) != 1:
        raise InputError(f"--config draws one prepared dataset, and {len(names)} are named")
    if depth is not None:
        raise InputError("--depth is for files: a prepared dataset has its own; leave it out")
    from fracjax.config.io import load

    loaded = load(config)
    from fracjax.workflows.show import show as draw

    path = out or Path(f"show_{names[0]}.png")
    classes = draw(names[0], loaded, path, source=config.name, **given)
    print("\n".join(filter(None, (roles(classes), f"wrote {path}"))))


def _show_pictures(
    files: list[Path], out: Path | None, depth: int | None, given: list[str]
) -> None:
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    if flags:
        raise InputError(f"{flags} without --config: files are drawn as they are; leave it out")
    if not files:
        raise InputError("nothing to show: name picture files, or a dataset with --config CONFIG")
    from fracjax.imaging.file_tree import printable
    from fracjax.workflows.show_pictures import show_pictures

    path = out or Path(f"show_{files[0].stem if len(files) == 1 else 'pictures'}.png")
    for picture in show_pictures(files, path, depth):
        print(f"{printable(picture.path)}: {picture.note or 'no notes'}")
    print(f"wrote {path}")


def show_phantoms(out: Path, seed: int = 0, side: int = 256) -> None:
    """Draw a sheet of phantoms, one of each kind, with the box of the break.

    Args:
      out: PNG file to write.
      seed: of the first phantom.
      side: of a phantom, in pixels.
    """
    from fracjax.workflows.show import phantoms_png

    phantoms_png(out, seed=seed, side=side)
    print(f"wrote {out}")


def convert(
    file: tyro.conf.Positional[Path],
    model: str | None = None,
    out: Path | None = None,
    leave_out_head: bool = False,
) -> None:
    """Convert a Keras file, of ImageNet weights or your own, into the file that training reads.

    Args:
      file: the .h5, .weights.h5 or .keras file that Keras wrote, with or without the top.
      model: the network it is of; by default it is told by the names in the file.
      out: the file to write; by default weights/MODEL.npz.
      leave_out_head: take the backbone of a model that you put a head of your own on: dense layers
        and norms that are not the backbone's are left out, and named.
    """
    from fracjax.pretrained.convert import convert, network_of

    model = model or network_of(file)
    out = out or Path("weights") / f"{model}.npz"
    provenance = convert(file, model=model, out=out, leave_out_head=leave_out_head)
    left_out = ", ".join(provenance.left_out) or "nothing"
    print(f"read  {file}: {model}  (sha256 {provenance.sha256}; left out: {left_out})")
    print(f"      {provenance.published}")
    print(f"wrote {out}  (use it with --model.name {model} --model.weights {out})")
