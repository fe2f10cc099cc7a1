"""The schema of a run: frozen dataclasses in which every field stands once, with its range.

A file in `configs/` builds a `Config` in `get_config()`; `fracjax.config.io.load` reads it and
applies the command line's overrides; `fracjax.config.rules.check` refuses what is out of range.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from fracjax.config.bounds import (
    ABOVE_0,
    AT_LEAST_0,
    AT_LEAST_1,
    AT_MOST_ALL,
    BACKBONES,
    CLASS_CUES,
    UNIQUE,
    Bound,
    Fraction,
    is_backbone,
)
from fracjax.config.data import COLOURS as COLOURS  # where configs have it from
from fracjax.config.data import Augment, Data
from fracjax.config.training import Phase, Train

Precision = Literal["float32", "tensorfloat32", "bfloat16"]
"""What the layers of a network compute in."""


@dataclass(frozen=True)
class Model:
    """Which network, and the weights it starts from."""

    name: Annotated[
        str,
        Bound(
            f"not one of {', '.join(BACKBONES)}, nor module:Class of your own",
            is_backbone,
        ),
    ] = "basic_cnn"
    """Backbone: basic_cnn, inception_v3, efficientnet_b0, mobilenet_v2, vit_ti16, vit_s16, or your
    own as module:Class."""
    weights: Path | None = None
    """Converted backbone weights (`fracjax convert`); the workdir of a run of one network, to go on
    from its best one; or `none` for random ones."""
    head: Literal["sigmoid", "softmax"] = "sigmoid"
    """Head of two classes: one logit with a sigmoid, or two with a softmax. More classes always
    have a softmax."""
    dropout: Fraction = 0.5
    """Fraction of the features dropped in training: before the head and, in the basic CNN, after
    each block. The paper has 0.5, and 0.3 for the basic CNN."""
    drop_path: Fraction = 0.2
    """EfficientNet-B0 only: fraction of residual branches dropped in training, from 0 at the first
    block to this at the last; 0.2 is Keras's. With 0 features of a frozen prefix can be cached."""
    localise: bool = False
    """Whether it learns where the finding is, too: a map of logits on top of the backbone (a
    feature pyramid), trained by the dataset's outlines, whose largest ones the head sees, too."""
    width: Annotated[float, ABOVE_0] = 1.0
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
    cached_views: Annotated[int, AT_LEAST_0] = 0
    """Views of each study (0: off) whose frozen-prefix features are computed once and kept.

    View 0 is the study as it is, the others are augmented; epoch `e` trains on view `e mod n`.
    """


@dataclass(frozen=True)
class Loss:
    """What is minimised: cross-entropy, in nats, with these changes."""

    label_smoothing: Fraction = 0.0
    """Fraction of the label that is spread evenly over all classes."""
    focal_gamma: Annotated[
        float,
        AT_LEAST_0,
        Bound(
            "between 0 and 1, where its gradient is infinite; write 0 for none, or 1 or more",
            lambda x: not 0 < x < 1,
        ),
    ] = 0.0
    """Exponent of the focal loss, which plays down studies that are already right; 0 is off, 2 is
    usual, values between 0 and 1 have no finite gradient."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight of a training study: 1, or inversely proportional to the size of its class."""
    second_task: Annotated[
        tuple[
            Annotated[
                str,
                Bound(
                    "a class cue: it is seen where a fracture was treated, and who learns to tell "
                    "it tells the class by it. Leave it out; among the subgroups it stands apart",
                    lambda name: name.casefold() not in CLASS_CUES,
                ),
            ],
            ...,
        ],
        UNIQUE,
    ] = ()
    """Columns of the dataset, such as `region` and `view`, whose values the network learns beside
    the class from the same features, by a head that is there in training only. Empty: none."""
    second_weight: Annotated[float, ABOVE_0] = 0.3
    """Weight of the second task in the loss: this times its mean cross-entropy, in nats, over all
    columns and studies whose value is known, is added to the class's."""

    outline_weight: Annotated[float, AT_LEAST_0] = 1.0
    """With `model.localise`: weight of the map in the loss. This times the mean cross-entropy of
    its cells, in nats, over studies that are outlined or normal is added to the class's; 0 trains
    the map by the class alone."""
    outline_positive_weight: Annotated[float, ABOVE_0] = 10.0
    """Weight of what lies inside an outline, which few cells do; the rest has 1."""
    outline_shape: Literal["outline", "box"] = "outline"
    """What the map learns: the outlines of findings, or their boxes where there are none; or the
    boxes of all."""


@dataclass(frozen=True)
class Ensemble:
    """Several networks of one config, trained in one step."""

    members: Annotated[int, AT_LEAST_1] = 1
    """Networks; member i has the seed `train.seed` + i, and with it its own subset of the data.
    Runs to compare need seeds that are at least so far apart."""


@dataclass(frozen=True)
class Sweep:
    """Runs to compare, trained in one step: each learning rate with each seed.

    Each has a folder of its own and is what it would be alone; they are never averaged.
    """

    learning_rates: Annotated[tuple[Annotated[float, ABOVE_0], ...], UNIQUE] = ()
    """Learning rates, each in place of the first phase's; those of later phases change by the same
    factor. Empty: that of the config."""
    seeds: Annotated[int, AT_LEAST_1] = 1
    """Runs of each, with the seeds `train.seed`, `train.seed` + 1, ..."""
    subsets: Annotated[tuple[Annotated[float, ABOVE_0, AT_MOST_ALL], ...], UNIQUE] = ()
    """A learning curve: fractions, each in place of `data.subset`, with each of the seeds, trained
    one after the other. `--data.subset 0.1 0.2 0.5 1` writes them here."""


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
    phases: Annotated[
        tuple[Phase, ...], Bound("empty: a run has one Phase at least", lambda phases: phases)
    ] = (Phase(),)
    """Phases of training, one after the other; each begins where the one before it ended."""
    train: Train = field(default_factory=Train)
    ensemble: Ensemble = field(default_factory=Ensemble)
    folds: Annotated[
        int | str,
        Bound("below 0", lambda n: isinstance(n, str) or n >= 0),
        Bound("which leaves nothing to train on; write 0, or 2 or more", lambda n: n != 1),
        Bound("neither a number nor a column", lambda n: n != ""),
    ] = 0
    """Cross-validation: train so many networks at once, each validated on one of as many folds of
    the training and validation studies; 0 is off. A column, such as source, in place of a number:
    each is validated on the studies of one value (leave-one-source-out). The test studies stay
    apart."""
    sweep: Sweep = field(default_factory=Sweep)


GROUPS = (Config, Data, Model, Freeze, Augment, Loss, Phase, Train, Ensemble, Sweep)
"""Every dataclass of the schema."""
