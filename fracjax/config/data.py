"""What a network is shown: which studies, how they become batches, and how images are changed."""

import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fracjax.config.bounds import (
    ABOVE_0,
    AT_LEAST_0,
    AT_LEAST_1,
    AT_MOST_ALL,
    UNIQUE,
    Bound,
    Fraction,
    fold_of,
    value_of,
)


@dataclass(frozen=True)
class Data:
    """Which studies, and how they become images and batches."""

    name: str = "phantom"
    """Prepared dataset: phantom, phantom_types, fracatlas, bone_break or your own."""
    dir: Path = Path("data")
    """Folder in which `fracjax prepare` put the prepared datasets."""
    classes: Annotated[
        tuple[str, ...],
        UNIQUE,
        Bound("fewer than two, in index order", lambda names: len(names) >= 2),
    ] = ("healthy", "fracture")
    """Classes to keep, in index order. With two of them the first is the negative one."""
    split: Path = Path("splits.json")
    """Split file; a relative path is looked up in the prepared dataset's folder."""
    image_size: Annotated[int, AT_LEAST_1] = 224
    """Side of the square image that the network sees, in pixels."""
    fit: Literal["stretch", "pad"] = "stretch"
    """How an image becomes a square: stretched, as in the paper, or padded with black, which keeps
    its proportions."""
    channels: Literal["auto", "grey", "colour"] = "auto"
    """Channels to keep of every image: one (grey), three (colour), or three only if a file of the
    dataset has colour (auto)."""
    colormap: Literal["none", "jet", "hot", "bone", "viridis"] = "none"
    """Colour map of the grey values, after augmentation, on every part of the split."""
    batch_size: Annotated[int, AT_LEAST_1] = 32
    """Studies per step, over all devices together."""
    mode: Literal["auto", "resident", "stream"] = "auto"
    """Where the decoded studies wait: all of them in the devices' memory (resident), or on the
    disk, read ahead of the step (stream). auto is resident if they take at most half of the memory
    that is free."""
    workers: Annotated[int, AT_LEAST_0] = 0
    """Processes that read ahead in stream mode; 0 reads in threads of this one."""
    filter: Path | None = None
    """Workdir of a detector: train and validate on what it calls positive; `none` for all."""
    fold: Annotated[
        str | None,
        Bound(
            "neither none nor like 2/5, the second of five folds, nor like source=clinic_b",
            lambda x: x is None or bool(fold_of(x) or value_of(x)),
        ),
    ] = None
    """`2/5`: validate on the second of five folds of the training and validation studies, and train
    on the other four. `source=clinic_b`: validate on those whose column `source` says clinic_b, and
    train on all others. `none`: the split as it is."""
    subset: Annotated[float, ABOVE_0, AT_MOST_ALL] = 1.0
    """Fraction of the near-duplicate groups to train on, drawn by `train.seed`. Several, as in
    `--data.subset 0.1 0.2 0.5 1`, are a learning curve."""
    oversample: bool = False
    """Show studies of the smaller classes again, other ones in each epoch, until every class is as
    frequent as the largest."""
    positive_share: Fraction = 0.0
    """Two classes only: fraction of every training batch that are of the positive one, rounded to
    whole studies; 0 takes them as they come, 0.33 is usual. An epoch has as many steps as without,
    all batches of it full. `train_loss` and `train_accuracy` are means over this mix. Validation,
    and with it temperature and threshold, has the classes as they are."""

    @property
    def positives_per_batch(self) -> int:
        """Positive studies of every training batch; 0 where that is left to chance."""
        return round(self.positive_share * self.batch_size)


Colour = Literal[
    "gamma", "blur", "equalise", "stretch", "clahe",
    "jet", "hot", "bone", "viridis", "hue", "sharpen", "negative", "sobel",
]  # fmt: skip
"""A colour transformation of section 7.2."""

COLOURS: tuple[Colour, ...] = typing.get_args(Colour)
"""All thirteen."""


FixedViews = Literal["flip", "dihedral"]
"""Views of an image that are not drawn."""

Views = int | FixedViews
"""Which views of a study are averaged."""


@dataclass(frozen=True)
class Augment:
    """Random changes to a training image, drawn on the device."""

    flip: bool = False
    """Mirror left and right in half of the cases."""
    rotation: Annotated[float, AT_LEAST_0] = 0.0
    """Largest rotation to either side, in degrees."""
    zoom: Fraction = 0.0
    """Largest relative change of size, drawn for each image: 0.3 shows it at 1/1.3 to 1/0.7 of its
    size, which is training at many scales."""
    translation: Fraction = 0.0
    """Largest shift to each side, as a fraction of the image's side."""
    brightness: Fraction = 0.0
    """Largest shift of the grey values, as a fraction of the full range."""
    contrast: Fraction = 0.0
    """Largest relative change of contrast about the image's mean."""
    noise: Fraction = 0.0
    """Standard deviation of Gaussian noise, as a fraction of the full range."""
    gamma: Annotated[float, AT_LEAST_0] = 0.0
    """Change of exposure: grey values in [0, 1] are raised to the power of e^u, u drawn up to this
    either way; 0 is off, 0.3 (powers from 0.74 to 1.35) is usual."""
    erase: Fraction = 0.0
    """Fraction of the images that lose a rectangle, of 2 to 20 % of their area, to their mean
    (random erasing, Zhong et al. 2020)."""
    dihedral: bool = False
    """Show each image in one of the eight views of the square (quarter turns and their mirror
    images), all as likely: for anatomy that has no upright."""
    colours: Annotated[tuple[Colour, ...], UNIQUE] = ()
    """Colour transformations of which each image gets one, or with the same chance none."""
    mixup: Annotated[float, AT_LEAST_0] = 0.0
    """Parameter of the Beta distribution by which pairs of images, and their losses, are mixed
    (mixup, Zhang et al. 2018); 0 is off, 0.2 is usual."""
    cutmix: Annotated[float, AT_LEAST_0] = 0.0
    """The same for the area of a rectangle that is taken from another image (CutMix, Yun et al.
    2019); 0 is off, 1 is usual. With both on, each pair is mixed in one of the two ways."""
    test_views: Annotated[
        Views, Bound("below 1", lambda views: isinstance(views, str) or views >= 1)
    ] = 1
    """Views of each study whose probabilities (not logits) are averaged when it is evaluated: so
    many, the first the study as it is and the others drawn from this policy; or fixed ones: `flip`,
    the study and its mirror image, or `dihedral`, the eight views of the square."""
