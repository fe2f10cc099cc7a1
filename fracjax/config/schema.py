"""The schema of a run: frozen dataclasses in which every field stands once.

A file in `configs/` builds a `Config` in `get_config()`; `fracjax.config.io.load` reads it and
applies the command line's overrides.
"""

import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

NO_WEIGHTS = Path("none")
NO_FOLD = "none"
NO_FILTER = Path("none")  # on a command line; in Python it is None


@dataclass(frozen=True)
class Data:
    """Which studies, and how they are cut into pictures and batches."""

    name: str = "phantom"
    """Prepared dataset: phantom, phantom_types, fracatlas, bone_break or your own."""
    dir: Path = Path("data")
    """Folder in which `scripts/prepare_data.py` put the prepared datasets."""
    classes: tuple[str, ...] = ("healthy", "fracture")
    """Classes to keep, in index order. With two of them the first is the negative one."""
    split: Path = Path("splits.json")
    """Split file; a relative path is looked up in the prepared dataset's folder."""
    image_size: int = 224
    """Side of the square picture that the network sees, in pixels."""
    fit: Literal["stretch", "pad"] = "stretch"
    """How a picture becomes a square: stretched, as in the paper, or padded with black, which keeps
    its proportions."""
    channels: Literal["auto", "grey", "colour"] = "auto"
    """Channels to keep of every picture: one (grey), three (colour), or three only if a file of the
    dataset has colour (auto)."""
    colormap: Literal["none", "jet", "hot", "bone", "viridis"] = "none"
    """Colour map of the grey values, after augmentation, on every part of the split."""
    batch_size: int = 32
    """Studies per step, over all devices together."""
    mode: Literal["auto", "resident", "stream"] = "auto"
    """Where the decoded studies wait: all of them in the devices' memory (resident), or on the
    disk, read ahead of the step (stream). auto is resident if they take at most half of the memory
    that is free."""
    workers: int = 0
    """Processes that read ahead in stream mode; 0 reads in threads of this one."""
    filter: Path | None = None
    """Workdir of a trained detector: train and validate on the studies that it calls positive;
    `none` for all."""
    fold: str = NO_FOLD
    """`2/5`: validate on the second of five folds of the training and validation studies, and train
    on the other four. `none`: the split as it is."""
    subset: float = 1.0
    """Share of the near-duplicate groups to train on, drawn by `train.seed`; above 0, up to 1."""
    oversample: bool = False
    """Show studies of the smaller classes again, other ones in each epoch, until every class is as
    frequent as the largest."""


Precision = Literal["float32", "tensorfloat32", "bfloat16"]
"""What the layers of a network compute in."""


@dataclass(frozen=True)
class Model:
    """Which network, and the weights it starts from."""

    name: Literal[
        "basic_cnn", "inception_v3", "efficientnet_b0", "mobilenet_v2", "vit_ti16", "vit_s16"
    ] = "basic_cnn"
    """Backbone."""
    weights: Path = NO_WEIGHTS
    """Converted backbone weights (`fracjax convert`), or `none` for random ones."""
    head: Literal["sigmoid", "softmax"] = "sigmoid"
    """Head of two classes: one logit with a sigmoid, or two with a softmax. More classes always
    have a softmax."""
    dropout: float = 0.5
    """Share of the features dropped in training, 0 to below 1: before the head and, in the basic
    CNN, after each block. The paper has 0.5, and 0.3 for the basic CNN."""
    drop_path: float = 0.2
    """EfficientNet-B0 only: share of residual branches dropped in training, 0 to below 1. It grows
    from 0 at the first block to this at the last one; 0.2 is Keras's. With 0 the features of a
    frozen prefix can be cached."""
    width: float = 1.0
    """Multiplier of the basic CNN's filters and dense units; 1.0 is the paper's network."""
    precision: Precision = "float32"
    """What convolutions and matrix products compute in, in training and afterwards. float32 is so
    on every device. tensorfloat32, for accelerators, rounds what is multiplied to 11 bits; bfloat16
    rounds what comes out of every layer, too, to 8 bits. Parameters, statistics, sums, head and
    loss are float32 in each."""


@dataclass(frozen=True)
class Freeze:
    """What is held beside the layers below the cut of a phase."""

    batch_norm: Literal["all", "above_cut", "frozen"] = "all"
    """Which BatchNorms train and use batch statistics: everywhere, above the cut, or nowhere."""
    cached_views: int = 0
    """Views of each study (0: off) whose frozen-prefix features are computed once and kept.

    View 0 is the study as it is, the others are augmented; epoch `e` trains on view `e mod n`.
    """


Colour = Literal[
    "gamma",
    "blur",
    "equalise",
    "stretch",
    "clahe",
    "jet",
    "hot",
    "bone",
    "viridis",
    "hue",
    "sharpen",
    "negative",
    "sobel",
]
"""A colour transformation of section 7.2."""

COLOURS: tuple[Colour, ...] = typing.get_args(Colour)
"""All thirteen."""


@dataclass(frozen=True)
class Augment:
    """Random changes to a training picture, drawn on the device."""

    flip: bool = False
    """Mirror left and right in half of the cases."""
    rotation: float = 0.0
    """Largest rotation to either side, in degrees."""
    zoom: float = 0.0
    """Largest relative change of size, 0 to below 1."""
    translation: float = 0.0
    """Largest shift to each side, as a share of the picture's side."""
    brightness: float = 0.0
    """Largest shift of the grey values, as a share of the full range."""
    contrast: float = 0.0
    """Largest relative change of contrast about the picture's mean, 0 to below 1."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise, as a share of the full range, 0 to below 1."""
    colours: tuple[Colour, ...] = ()
    """Colour transformations of which each picture gets one, or with the same chance none."""
    mixup: float = 0.0
    """Parameter of the Beta distribution by which pairs of pictures, and their losses, are mixed
    (mixup, Zhang et al. 2018); 0 is off, 0.2 is usual."""
    cutmix: float = 0.0
    """The same for the area of a rectangle that is taken from another picture (CutMix, Yun et al.
    2019); 0 is off, 1 is usual. With both on, each pair is mixed in one of the two ways."""
    test_views: int = 1
    """Views of each study whose probabilities are averaged when it is evaluated: the study as it
    is, and the others drawn from this policy."""


@dataclass(frozen=True)
class Loss:
    """What is minimised: cross-entropy, in nats, with these changes."""

    label_smoothing: float = 0.0
    """Share of the label that is spread evenly over all classes, 0 to below 1."""
    focal_gamma: float = 0.0
    """Exponent of the focal loss, which plays down studies that are already right; 0 is off, 2 is
    usual, values between 0 and 1 have no finite gradient."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight of a training study: 1, or inversely proportional to the size of its class."""


@dataclass(frozen=True)
class Phase:
    """One stretch of training, with an optimiser of its own (Adam, Kingma and Ba 2015)."""

    epochs: int = 50
    """Largest number of passes over the training studies."""
    learning_rate: float = 1e-4
    """Step size of Adam; with a schedule, its largest value."""
    cut: str = "none"
    """First part that trains: none (all of it), a block (mixed9), a Keras layer (249), or head."""
    schedule: Literal["constant", "one_cycle", "plateau"] = "constant"
    """The same step size throughout; up over the first fifth of the phase's steps, then down to
    zero; or reduced whenever the validation loss stops falling."""


@dataclass(frozen=True)
class Train:
    """When to stop, when to slow down, and from which seed."""

    patience: int = 3
    """Epochs without a lower validation loss after which a phase stops."""
    plateau_patience: int = 10
    """Epochs without a lower validation loss after which `plateau` reduces the step size."""
    plateau_factor: float = 0.1
    """Factor by which it is reduced, above 0, below 1."""
    steps_per_dispatch: int = 0
    """Steps that the device takes between two words with the host, in resident mode; 0 is the whole
    epoch on an accelerator, and 1 on a CPU."""
    checkpoint_steps: int = 0
    """Steps after which the state is saved within an epoch, too; 0 saves after each epoch only."""
    seed: int = 0
    """Seed of the initial weights, the order of the studies, augmentation and dropout."""


@dataclass(frozen=True)
class Ensemble:
    """Several networks of one config, trained in one step."""

    members: int = 1
    """Networks; member i has the seed `train.seed` + i, and with it its own subset of the data.
    Runs to compare need seeds that are at least so far apart."""


@dataclass(frozen=True)
class Sweep:
    """Runs to compare, trained in one step: each learning rate with each seed.

    Each has a folder of its own and is what it would be alone; they are never averaged.
    """

    learning_rates: tuple[float, ...] = ()
    """Step sizes, each in place of the first phase's; those of later phases change by the same
    factor. Empty: that of the config."""
    seeds: int = 1
    """Runs of each, with the seeds `train.seed`, `train.seed` + 1, ..."""


@dataclass(frozen=True)
class Config:
    """One run: a network, or several at once, trained on one dataset into one workdir."""

    workdir: Path = Path("runs/run")
    """Folder of the run: config, checkpoints, TensorBoard events, history, evaluation."""
    threshold: str = "youden"
    """How the detector's threshold is chosen on validation: youden, sensitivity:X or fixed:X."""
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    freeze: Freeze = field(default_factory=Freeze)
    augment: Augment = field(default_factory=Augment)
    loss: Loss = field(default_factory=Loss)
    phases: tuple[Phase, ...] = (Phase(),)
    """Phases of training, one after the other; each begins where the one before it ended."""
    train: Train = field(default_factory=Train)
    ensemble: Ensemble = field(default_factory=Ensemble)
    folds: int = 0
    """Cross-validation: train so many networks at once, each validated on one of as many folds of
    the training and validation studies; 0 is off. The test studies stay apart."""
    sweep: Sweep = field(default_factory=Sweep)


GROUPS = (Config, Data, Model, Freeze, Augment, Loss, Phase, Train, Ensemble, Sweep)
"""Every dataclass of the schema."""
