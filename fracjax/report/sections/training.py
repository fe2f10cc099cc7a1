"""How the networks were trained: Figures 5 to 7 of the paper, and the networks of an ensemble."""

from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.report.charts.training import training_chart
from fracjax.report.members_table import MembersReport, members_table
from fracjax.report.page import Block, Prose, Section
from fracjax.training.checkpoint import has, read_meta
from fracjax.training.ensemble_configs import member_dirs


def training_section(evaluated: EvaluatedRun, members: MembersReport | None) -> Section:
    """Loss, accuracy and AUC by epoch, of each network."""
    folders = member_dirs(evaluated.bundle.workdir)
    # The last checkpoint has the epochs after the best one, too, if it is still there.
    metas = [read_meta(where, "last" if has(where, "last") else "best") for where in folders]
    histories = {f"network {i}": meta.history for i, meta in enumerate(metas, 1)}
    config = evaluated.bundle.meta.config
    phases = "; ".join(
        f"up to {phase.epochs} epochs at {phase.learning_rate:g} ({phase.schedule}), trained from "
        f"{'the first layer' if phase.cut == 'none' else phase.cut} on"
        for phase in config.phases
    )
    words = (
        f"{config.model.name} at {config.data.image_size} pixels, batches of "
        f"{config.data.batch_size}: {phases}. Stopped after "
        f"{', '.join(str(meta.epoch) for meta in metas)} epochs, with a patience of "
        f"{config.train.patience}; the weights are those of the lowest validation loss.",
    )
    blocks: list[Block] = [training_chart(histories, "Loss and accuracy by epoch"), Prose(words)]
    if members is not None:
        blocks.append(members_table(members))
    return Section("training", "Training", tuple(blocks))
