"""Sheets to look at: studies before and after every augmentation, and one phantom of each kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from jaxtyping import Array, Float, Key, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageDraw, ImageFont

from fracjax.augment.colour import OPERATIONS, apply_colormap
from fracjax.augment.mixing import mix
from fracjax.augment.policy import augment
from fracjax.config import Augment, Config
from fracjax.datasets.phantom.drawing import FRACTURE_TYPES
from fracjax.datasets.phantom.drawing import draw as draw_phantom
from fracjax.datasets.prepared import open_prepared
from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.atomic_files import replacing

# Of each augmentation: the strength that is shown of what a config leaves off, and its label.
_PANELS = {
    "flip": (True, "flip, of half"),
    "rotation": (10.0, "rotation up to {0:g}°"),
    "zoom": (0.2, "zoom up to {1:.3g}%"),
    "translation": (0.1, "translation up to {1:.3g}%"),
    "brightness": (0.2, "brightness up to {1:.3g}%"),
    "contrast": (0.2, "contrast up to {1:.3g}%"),
    "noise": (0.05, "noise, deviation {1:.3g}%"),
    "gamma": (0.5, "gamma up to exp(±{0:g})"),
    "erase": (0.5, "erase, of {1:.3g}%"),
    "dihedral": (True, "dihedral, eight views"),
    "mixup": (0.2, "mixup, Beta({0:g}, {0:g})"),
    "cutmix": (1.0, "cutmix, Beta({0:g}, {0:g})"),
}
_TYPICAL_MAP = "jet"
_DRAWS = 3  # of the whole policy
_FONT, _LINE = 14, 22  # pixels: a letter's height, and a line of text with its margin
_SIDE, _GAP = 128, 12  # pixels of an image, and between panels
_ACROSS = 16  # images beside each other


@dataclass(frozen=True)
class Panel:
    """All studies after one augmentation."""

    label: str  # name and strength
    images: Float[np.ndarray, "n h w c"]  # in [0, 255]
    on: bool = True  # whether the config has it


def show(
    name: str,
    config: Config,
    path: Path,
    *,
    source: str,
    data_dir: Path | None = None,
    part: Literal["train", "validation", "test"] = "train",
    studies: int = 4,
    seed: int = 0,
) -> tuple[str, ...]:
    """Draw studies of a prepared dataset as a config has them decoded and augmented.

    All classes of the dataset are taken, whatever the config says, each in turn; `source` is what
    to call the config, and `seed` is of the choice of studies and of every draw. Returns the
    dataset's classes.
    """
    directory = data_dir or config.data.dir
    classes = open_prepared(name, directory).classes
    data = replace(config.data, name=name, classes=classes, fold=None, filter=None)
    examples = open_dataset(data, directory).part(part)
    if not 1 <= studies <= len(examples):
        raise InputError(
            f"studies is {studies}; the {part} part of {name} has {len(examples)}: type a number "
            f"from 1 to {len(examples)}"
        )
    rows = _rows(examples, studies, seed)
    images, key = examples.images(rows), jax.random.key(seed)
    shown = panels(key, images, config.augment, config.data.colormap)
    of = [f"{examples.study[row]} ({classes[examples.label[row]]})" for row in rows]
    title = f"{name}, {part}, as {source} has it; (off): not in there, at a typical strength"
    contact_sheet_png(shown, path, title=title, studies=", ".join(of))
    return classes


def panels(
    key: Key[Array, ""], images: UInt8[np.ndarray, "n h w c"], policy: Augment, colormap: str
) -> list[Panel]:
    """Every augmentation by itself, at the policy's strength, or a typical one if that is off.

    At last come the colour map and some draws of all that the policy has, as training sees them.
    """
    changes = list(_changes(policy, colormap, grey=images.shape[-1] == 1))

    def training(key: Key[Array, ""], images: UInt8[Array, "n h w c"]) -> Float[Array, "..."]:
        draw, pairs = jax.random.split(key)
        mixed = mix(pairs, augment(draw, images, policy), policy).images
        return apply_colormap(mixed, colormap)

    # One program, not optimised: it runs once.
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def draw(keys: Key[Array, " k"], images: UInt8[Array, "n h w c"]) -> tuple[list, Array]:
        alone = [change(keys[i], images) for i, (_, _, change) in enumerate(changes)]
        return alone, jax.lax.map(lambda key: training(key, images), keys[len(changes) :])

    alone, together = draw(jax.random.split(key, len(changes) + _DRAWS), jnp.asarray(images))
    shown = [Panel("as decoded", images.astype(np.float32))]
    for (label, on, _), out in zip(changes, alone, strict=True):
        shown.append(Panel(label, np.asarray(out), on))
    for number, out in enumerate(together, 1):
        shown.append(Panel(f"all together, as trained on: draw {number}", np.asarray(out)))
    return shown


def _changes(policy: Augment, colormap: str, *, grey: bool) -> Iterator[tuple[str, bool, Callable]]:
    """Of each panel its label, whether the config has it, and what makes it of a key and images."""

    def alone(name: str) -> tuple[str, bool, Callable]:
        typical, label = _PANELS[name]
        strength = getattr(policy, name) or typical
        only = replace(Augment(), **{name: strength})
        change = partial(_mixed if name in ("mixup", "cutmix") else augment, policy=only)
        return label.format(strength, 100 * strength), bool(getattr(policy, name)), change

    def on_each(key: Key[Array, ""], images: Array, change: Callable) -> Array:
        keys = jax.random.split(key, len(images))
        return jax.vmap(change)(keys, images.astype(jnp.float32))

    def mapped(_: Key[Array, ""], images: Array) -> Array:
        return apply_colormap(images.astype(jnp.float32), shown)

    on = colormap != "none"
    shown = colormap if on else _TYPICAL_MAP
    *moves, mixup, cutmix = map(alone, _PANELS)
    yield from moves
    for name, change in OPERATIONS.items():
        label = "hue, of which grey has none" if name == "hue" and grey else name
        yield label, name in policy.colours, partial(on_each, change=change)
    yield from (mixup, cutmix)
    yield f"colour map {shown}", on, mapped


def _mixed(key: Key[Array, ""], images: Array, policy: Augment) -> Array:
    return mix(key, images.astype(jnp.float32), policy).images


def contact_sheet_png(panels: list[Panel], path: Path, *, title: str, studies: str) -> None:
    """Draw the panels, pixel for pixel, in rows as wide as the sheet.

    All panels have as many studies; `studies` says what they are, on the sheet's second line.
    """
    width, height = max(len(panels[0].images), 2) * _SIDE, _SIDE + _LINE  # two, for the label
    across = max(1, _ACROSS * _SIDE // width)
    rows, head = -(-len(panels) // across), 2 * _LINE
    size = (across * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP + head)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    # Comes with matplotlib: the same letters on every machine.
    fonts = Path(mpl.get_data_path(), "fonts", "ttf")
    font = ImageFont.truetype(fonts / "DejaVuSans.ttf", _FONT)
    bold = ImageFont.truetype(fonts / "DejaVuSans-Bold.ttf", _FONT)
    draw.text((_GAP, 8), title, "black", bold)
    if font.getlength(studies) > size[0] - 2 * _GAP:
        while font.getlength(f"{studies}…") > size[0] - 2 * _GAP:
            studies = studies[:-1]
        studies += "…"
    draw.text((_GAP, 8 + _LINE), studies, "#444444", font)
    for place, panel in enumerate(panels):
        row, column = divmod(place, across)
        left, top = _GAP + column * (width + _GAP), head + _GAP + row * (height + _GAP)
        label = panel.label if panel.on else f"{panel.label}  (off)"
        draw.text((left, top), label, "black" if panel.on else "#8A5A00", font)
        for number, image in enumerate(panel.images):
            sheet.paste(_tile(image), (left + number * _SIDE, top + _LINE))
    with replacing(path) as unfinished:
        sheet.save(unfinished, "PNG")


def _rows(examples: Examples, count: int, seed: int) -> np.ndarray:
    """Studies of each class in turn, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(examples))
    labels = examples.label[order]
    turn = np.empty(len(order), int)
    for label in np.unique(labels):
        turn[labels == label] = np.arange(np.sum(labels == label))
    return order[np.lexsort((labels, turn))][:count]


def _tile(image: Float[np.ndarray, "h w c"]) -> Image.Image:
    """One image in the sheet's size, in colour, with a white line to its right."""
    pixels = np.clip(np.round(image), 0, 255).astype(np.uint8)
    colour = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())
    tile = colour.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    tile.paste("white", (_SIDE - 1, 0, _SIDE, _SIDE))
    return tile


def phantoms_png(path: Path, *, seed: int = 0, side: int = 256) -> None:
    """Draw two healthy phantoms and one of each of the ten types.

    The first has the seed, each is of another limb, and `side` pixels wide.
    """
    figure = Figure(figsize=(9, 7.2), dpi=110, layout="constrained")
    for place, kind in enumerate((None, None, *FRACTURE_TYPES)):
        phantom = draw_phantom(seed + place, kind, side)
        axes = figure.add_subplot(3, 4, place + 1)
        axes.imshow(phantom.image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(kind or "healthy", fontsize=9)
        axes.set_axis_off()
        if phantom.box is not None:
            y0, x0, y1, x1 = phantom.box
            box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="orange", linewidth=1)
            axes.add_patch(box)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", metadata={"Software": None})
