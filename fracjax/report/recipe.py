"""How a run is trained, in words: its phases, and which network of it is the result."""

from fracjax.config import Config, Phase, Train

KEPT = {
    "lowest_loss": "lowest validation loss",
    "highest_auc": "highest validation AUC",
    "last": "last epoch",
}
"""Which epoch is the result, by `train.keep`."""


def phase_text(phase: Phase, train: Train) -> str:
    """Epochs, schedule and optimiser of a phase, and where it begins to train."""
    up_to = "" if train.keep == "last" else "up to "
    schedule = phase.schedule
    if schedule == "cosine":
        schedule = f"cosine after {100 * phase.warm_up:g} % of warm-up"
    begin = "the first layer" if phase.cut == "none" else phase.cut
    changes = {
        f"AdamW with a weight decay of {phase.weight_decay:g}": phase.weight_decay != 0,
        f"second-moment decay {phase.second_moment_decay:g}": (
            phase.second_moment_decay != Phase.second_moment_decay
        ),
        f"gradients clipped to a norm of {phase.clip_norm:g}": phase.clip_norm != 0,
        f"learning rate of the head times {phase.head_rate:g}": phase.head_rate != 1,
        f"of each block times {phase.block_decay:g} from the head down": phase.block_decay != 1,
    }
    words = [
        f"{up_to}{phase.epochs} epochs at {phase.learning_rate:g} ({schedule})",
        f"trained from {begin} on",
        *(change for change, on in changes.items() if on),
    ]
    return ", ".join(words)


def result_text(train: Train) -> str:
    """Which network of a run is its result, and when a phase stops before its epochs are over."""
    if train.keep == "last":
        words = "the last epoch is kept; none is chosen, and none left out"
    else:
        better = "higher" if train.keep == "highest_auc" else "lower"
        words = (
            f"the epoch of the {KEPT[train.keep]} is kept, and a phase stops after "
            f"{train.patience} epochs without a {better} one"
        )
    if train.average:
        words += (
            "; validated and kept is the moving average of parameters and BatchNorm statistics "
            f"(decay {train.average:g})"
        )
    return words


def beside_text(config: Config) -> str:
    """What a run learns beside the class, in sentences; empty if nothing."""
    loss, sentences = config.loss, []
    if loss.second_task:
        sentences.append(
            f"Beside the class: {', '.join(loss.second_task)}, with a weight of "
            f"{loss.second_weight:g} in the loss, by a head that is there in training only."
        )
    if config.model.localise:
        shapes = "outlines" if loss.outline_shape == "outline" else "boxes"
        weighed = f"the {shapes} of findings, with a weight of {loss.outline_weight:g} in the loss"
        learns = weighed if loss.outline_weight else "the class alone"
        sentences.append(f"A map of where the finding is learns from {learns}.")
    return " ".join(sentences)
