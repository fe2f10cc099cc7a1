"""Sheets to look at: studies before and after every augmentation, and one phantom of each kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

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

TYPICAL = Augment(
    flip=True,
    rotation=10.0,
    zoom=0.2,
    translation=0.1,
    brightness=0.2,
    contrast=0.2,
    noise=0.05,
    mixup=0.2,
    cutmix=1.0,
)
"""Shown of what a config leaves off."""
TYPICAL_MAP = "jet"
DRAWS = 3  # of the whole policy

_DPI, _FONT, _LINE = 100, 10, 22  # pixels of a line of text with its margin
_SIDE, _GAP = 128, 12  # pixels of a picture, and between panels
_ACROSS = 16  # pictures beside each other


@dataclass(frozen=True)
class Panel:
    """All studies after one augmentation.

    Attributes:
      label: name and strength.
      images: in [0, 255].
      on: whether the config has it.
    """

    label: str
    images: Float[np.ndarray, "n h w c"]
    on: bool = True


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
) -> None:
    """Draw studies of a prepared dataset as a config has them decoded and augmented.

    Args:
      name: prepared dataset; all of its classes are taken, whatever the config says.
      config: says how pictures are decoded, augmented and mapped.
      path: PNG file to write.
      source: what to call the config.
      data_dir: where the prepared datasets are, if not where the config says.
      part: of the split.
      studies: number of studies, of the classes in turn.
      seed: of the choice of studies and of every draw.

    Raises:
      InputError: the dataset is not prepared, or has too few studies.
    """
    directory = data_dir or config.data.dir
    classes = open_prepared(name, directory).classes
    data = replace(config.data, name=name, classes=classes, fold=None, filter=None)
    examples = open_dataset(data, directory).part(part)
    if not 1 <= studies <= len(examples):
        raise InputError(
            f"--studies is {studies}; the {part} part of {name} has {len(examples)}: type a number "
            f"from 1 to {len(examples)}"
        )
    rows = _rows(examples, studies, seed)
    shown = panels(
        jax.random.key(seed), examples.images(rows), config.augment, config.data.colormap
    )
    of = [f"{examples.study[row]} ({classes[examples.label[row]]})" for row in rows]
    contact_sheet_png(
        shown,
        path,
        title=f"{name}, {part}, as {source} has it; (off): not in there, at a typical strength",
        studies=", ".join(of),
    )


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

    alone, together = draw(jax.random.split(key, len(changes) + DRAWS), jnp.asarray(images))
    shown = [Panel("as decoded", images.astype(np.float32))]
    for (label, on, _), out in zip(changes, alone, strict=True):
        shown.append(Panel(label, np.asarray(out), on))
    for number, out in enumerate(together, 1):
        shown.append(Panel(f"all together, as trained on: draw {number}", np.asarray(out)))
    return shown


def _changes(policy: Augment, colormap: str, *, grey: bool) -> Iterator[tuple[str, bool, Callable]]:
    """Of each panel its label, whether the config has it, and what makes it of a key and images."""
    for label, on, alone in _each(policy):
        yield label, on, partial(augment, policy=alone)
    for name, change in OPERATIONS.items():

        def on_each(key: Key[Array, ""], images: Array, change: Callable = change) -> Array:
            keys = jax.random.split(key, len(images))
            return jax.vmap(change)(keys, images.astype(jnp.float32))

        label = "hue, of which grey has none" if name == "hue" and grey else name
        yield label, name in policy.colours, on_each
    for name in ("mixup", "cutmix"):
        strength, on = _strength(policy, name)

        def mixed(key: Key[Array, ""], images: Array, alone: Augment) -> Array:
            return mix(key, images.astype(jnp.float32), alone).images

        alone = replace(Augment(), **{name: strength})
        yield f"{name}, Beta({strength:g}, {strength:g})", on, partial(mixed, alone=alone)
    on = colormap != "none"
    name = colormap if on else TYPICAL_MAP

    def mapped(_: Key[Array, ""], images: Array) -> Array:
        return apply_colormap(images.astype(jnp.float32), name)

    yield f"colour map {name}", on, mapped


def contact_sheet_png(panels: list[Panel], path: Path, *, title: str, studies: str) -> None:
    """Draw the panels, pixel for pixel, in rows as wide as the sheet.

    Args:
      panels: all of as many studies.
      path: PNG file to write.
      title: first line of the sheet.
      studies: what they are, for the second line.
    """
    count = len(panels[0].images)
    width = max(count * _SIDE, 2 * _SIDE)  # two, for the label
    height = _SIDE + _LINE
    across = max(1, _ACROSS * _SIDE // width)
    rows = -(-len(panels) // across)
    head = 2 * _LINE
    sheet = (across * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP + head)
    figure = Figure(figsize=(sheet[0] / _DPI, sheet[1] / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def write(text: str, left: int, top: int, **style: Any) -> None:
        figure.text(
            left / sheet[0],
            1 - top / sheet[1],
            text,
            va="top",
            fontsize=_FONT,
            family="DejaVu Sans",  # comes with matplotlib: the same picture on every machine
            parse_math=False,  # a class may be called "a$b$"
            **style,
        )

    write(title, _GAP, 8, weight="bold")
    write(_shortened(studies, sheet[0] - 2 * _GAP), _GAP, 8 + _LINE, color="#444444")
    for place, panel in enumerate(panels):
        row, column = divmod(place, across)
        left, top = _GAP + column * (width + _GAP), head + _GAP + row * (height + _GAP)
        off = "" if panel.on else "  (off)"
        write(panel.label + off, left, top, color="black" if panel.on else "#8A5A00")
        strip = np.concatenate([_tile(image) for image in panel.images], axis=1)
        figure.figimage(strip, left, sheet[1] - top - _LINE - _SIDE, origin="upper")
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


def _each(policy: Augment) -> Iterator[tuple[str, bool, Augment]]:
    """Label, whether the policy has it, and a policy of it alone."""
    labels = {
        "rotation": "rotation up to {degrees:g}°",
        "zoom": "zoom up to {percent:.3g}%",
        "translation": "translation up to {percent:.3g}%",
        "brightness": "brightness up to {percent:.3g}%",
        "contrast": "contrast up to {percent:.3g}%",
        "noise": "noise, deviation {percent:.3g}%",
    }
    yield "flip, of half", policy.flip, Augment(flip=True)
    for name, label in labels.items():
        strength, on = _strength(policy, name)
        text = label.format(degrees=strength, percent=100 * strength)
        yield text, on, replace(Augment(), **{name: strength})


def _strength(policy: Augment, name: str) -> tuple[float, bool]:
    """The policy's strength, or a typical one, and whether it is the policy's."""
    strength = getattr(policy, name)
    return (strength, True) if strength else (getattr(TYPICAL, name), False)


def _rows(examples: Examples, count: int, seed: int) -> np.ndarray:
    """Studies of each class in turn, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(examples))
    labels = examples.label[order]
    turn = np.empty(len(order), int)
    for label in np.unique(labels):
        turn[labels == label] = np.arange(np.sum(labels == label))
    return order[np.lexsort((labels, turn))][:count]


def _tile(image: Float[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "side side 3"]:
    """One picture in the sheet's size, in colour, with a white line to its right."""
    pixels = np.clip(np.round(image), 0, 255).astype(np.uint8)
    colour = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())
    tile = np.array(colour.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    tile[:, -1] = 255
    return tile


def _shortened(text: str, pixels: int) -> str:
    """As much of a line as surely fits."""
    characters = int(pixels / (0.8 * _FONT))
    return text if len(text) <= characters else text[: characters - 1] + "…"


def phantoms_png(path: Path, *, seed: int = 0, side: int = 256) -> None:
    """Draw two healthy phantoms and one of each of the ten types.

    Args:
      path: PNG file to write.
      seed: of the first phantom; each one is of another limb.
      side: of a phantom, in pixels.
    """
    kinds = (None, None, *FRACTURE_TYPES)
    figure = Figure(figsize=(9, 7.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for place, kind in enumerate(kinds):
        phantom = draw_phantom(seed + place, kind, side)
        axes = figure.add_subplot(3, 4, place + 1)
        axes.imshow(phantom.image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(kind or "healthy", fontsize=9)
        axes.set_axis_off()
        if phantom.box is not None:
            y0, x0, y1, x1 = phantom.box
            axes.add_patch(
                Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="orange", linewidth=1)
            )
    figure.savefig(path, metadata={"Software": None})
