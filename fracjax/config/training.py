"""How a run is trained: the optimiser and schedule of each phase, and what is kept of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fracjax.config.bounds import ABOVE_0, AT_LEAST_0, AT_LEAST_1, Bound, Fraction


@dataclass(frozen=True)
class Phase:
    """One part of training, with an optimiser of its own: Adam or, with a weight decay, AdamW."""

    epochs: Annotated[int, AT_LEAST_1] = 50
    """Largest number of passes over the training studies."""
    learning_rate: Annotated[float, ABOVE_0] = 1e-4
    """Of Adam; with a schedule, its largest value."""
    cut: str = "none"
    """First part that trains: none (all of it), a block (mixed9), a Keras layer (249), or head."""
    schedule: Literal["constant", "one_cycle", "cosine", "plateau"] = "constant"
    """The same learning rate throughout; up over the first fifth of the phase's steps, then down to
    zero; up in a line over `warm_up`, then down to zero as a cosine; or reduced whenever the
    validation loss stops falling."""
    warm_up: Fraction = 0.1
    """Fraction of the phase's steps over which `cosine` rises from 0 to the learning rate."""
    weight_decay: Annotated[float, AT_LEAST_0] = 0.0
    """Decoupled weight decay of AdamW: in each step a kernel shrinks by this times the learning
    rate. Biases, BatchNorm and embeddings do not; 0 is Adam, 0.01 to 0.05 are usual."""
    second_moment_decay: Fraction = 0.999
    """Decay per step of Adam's mean of squared gradients (beta 2)."""
    clip_norm: Annotated[float, AT_LEAST_0] = 0.0
    """Largest norm of the gradient of all trained parameters together; a longer one is scaled down
    to it. 0 is off."""
    head_rate: Annotated[float, ABOVE_0] = 1.0
    """Learning rate of the head, as a multiple of the backbone's."""
    block_decay: Annotated[float, ABOVE_0, Bound("above 1", lambda x: x <= 1)] = 1.0
    """Factor on the learning rate from each block to the one below it: the last block has the
    learning rate times this, the one before it times its square, and so on; 1 is off, 0.65 to 0.9
    are usual."""


@dataclass(frozen=True)
class Train:
    """Which epoch is the result, when to stop, when to slow down, and from which seed."""

    keep: Literal["lowest_loss", "highest_auc", "last"] = "lowest_loss"
    """Which epoch is the result: that of the lowest validation loss; of two classes, that of the
    highest validation AUC; or the last one, once all epochs are over: no early stopping then, and
    nothing is chosen."""
    patience: Annotated[int, AT_LEAST_1] = 3
    """Epochs without a lower validation loss, or a higher validation AUC where that is what
    `keep` asks for, after which a phase stops; with `keep` last none does."""
    average: Fraction = 0.0
    """Decay per step of an exponential moving average of parameters and BatchNorm statistics, which
    is validated, kept and used in place of the network itself; 0 is off, 0.99 to 0.9999 are
    usual."""
    plateau_patience: Annotated[int, AT_LEAST_1] = 10
    """Epochs without a lower validation loss after which `plateau` reduces the learning rate."""
    plateau_factor: Annotated[float, ABOVE_0, Bound("not below 1", lambda x: x < 1)] = 0.1
    """Factor by which it is reduced."""
    steps_per_dispatch: Annotated[int, AT_LEAST_0] = 0
    """Training steps per call of the compiled program, in resident mode; 0 is 32 on an
    accelerator, and 1 on a CPU. SIGTERM and Ctrl-C wait for the end of two calls."""
    checkpoint_steps: Annotated[int, AT_LEAST_0] = 0
    """Steps after which the state is saved within an epoch, too; 0 saves after epochs only."""
    seed: Annotated[int, AT_LEAST_0] = 0
    """Seed of the initial weights, the order of the studies, augmentation and dropout."""
