"""How the networks were trained: Figures 5 to 7 of the paper, and the networks of an ensemble."""

from fracjax.report.charts.training import training_chart
from fracjax.report.facts import RunFacts
from fracjax.report.members_table import MembersReport, members_table
from fracjax.report.page import Block, Prose, Section


def training_section(run: RunFacts, members: MembersReport | None) -> Section:
    """Loss, accuracy and AUC by epoch, of each network."""
    config = run.config
    phases = "; ".join(
        f"up to {phase.epochs} epochs at {phase.learning_rate:g} ({phase.schedule}), trained from "
        f"{'the first layer' if phase.cut == 'none' else phase.cut} on"
        for phase in config.phases
    )
    epochs = ", ".join(str(len(history.epochs)) for history in run.histories.values())
    words = (
        f"{config.model.name} at {config.data.image_size} pixels, batches of "
        f"{config.data.batch_size}: {phases}. Stopped after {epochs} epochs, with a patience of "
        f"{config.train.patience}; the weights are those of the lowest validation loss.",
    )
    blocks: list[Block] = [
        training_chart(run.histories, "Loss and accuracy by epoch"),
        Prose(words),
    ]
    if members is not None:
        blocks.append(members_table(members))
    return Section("training", "Training", tuple(blocks))
