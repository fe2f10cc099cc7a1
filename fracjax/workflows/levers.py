"""What `fracjax ablate` changes of a recipe, one lever at a time: data, to be added to.

A lever that the base has as it is, is left out: the list may name both directions of a change.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lever:
    """One change of a config."""

    name: str  # of its folder, and in the table
    flags: tuple[str, ...]  # of `fracjax train`


LEVERS = (
    # the optimiser and its schedule
    Lever("no_weight_decay", ("--phases.0.weight-decay", "0")),
    Lever("weight_decay", ("--phases.0.weight-decay", "0.02")),
    Lever("beta2_0.999", ("--phases.0.second-moment-decay", "0.999")),
    Lever("beta2_0.99", ("--phases.0.second-moment-decay", "0.99")),
    Lever("no_clipping", ("--phases.0.clip-norm", "0")),
    Lever("clipping", ("--phases.0.clip-norm", "2")),
    Lever("constant_rate", ("--phases.0.schedule", "constant")),
    Lever("one_cycle", ("--phases.0.schedule", "one_cycle")),
    Lever("cosine", ("--phases.0.schedule", "cosine")),
    Lever("head_rate_10", ("--phases.0.head-rate", "10")),
    Lever("block_decay_0.8", ("--phases.0.block-decay", "0.8")),
    # which network is the result
    Lever("no_average", ("--train.average", "0")),
    Lever("average", ("--train.average", "0.99")),
    Lever("keep_lowest_loss", ("--train.keep", "lowest_loss")),
    Lever("keep_highest_auc", ("--train.keep", "highest_auc")),
    Lever("keep_last", ("--train.keep", "last")),
    # what is shown
    Lever("as_they_come", ("--data.positive-share", "0")),
    Lever("positive_share", ("--data.positive-share", "0.33")),
    Lever("padded", ("--data.fit", "pad")),
    Lever("size_224", ("--data.image-size", "224")),
    Lever("size_456", ("--data.image-size", "456")),
    Lever("zoom_0.4", ("--augment.zoom", "0.4")),
    Lever("gamma", ("--augment.gamma", "0.3")),
    Lever("erase", ("--augment.erase", "0.25")),
    Lever("dihedral", ("--augment.dihedral",)),
    Lever("mixup", ("--augment.mixup", "0.2")),
    Lever("label_smoothing", ("--loss.label-smoothing", "0.1")),
    Lever("second_task", ("--loss.second-task", "region", "view")),
    # where it looks
    Lever("map", ("--model.localise",)),
    Lever("map_of_boxes", ("--model.localise", "--loss.outline-shape", "box")),
    Lever("map_without_outlines", ("--model.localise", "--loss.outline-weight", "0")),
    Lever("one_view", ("--augment.test-views", "1")),
    Lever("flip_views", ("--augment.test-views", "flip")),
)
