"""The model card: what the networks are for, what they are not for, and what is not known of them.

Source: Mitchell et al. 2019, FAT*, arXiv:1810.03993, "Model Cards for Model Reporting".
"""

from fracjax.datasets.phantom.dataset import DRAWN
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.inference.model_bundle import epochs_of
from fracjax.report.page import Facts, Section
from fracjax.report.sections.versions import versions


def card_section(evaluated: EvaluatedRun, performance: str) -> Section:
    """Facts in the order of the paper's card.

    Args:
      evaluated: the networks on one part.
      performance: the main figures, in one line.
    """
    trained, meta = evaluated.trained, evaluated.trained.meta
    config, data = meta.config, meta.config.data
    detector = evaluated.settled.point is not None
    weights = "random" if config.model.weights is None else str(config.model.weights)
    task = (
        f"score a radiograph for {meta.classes[1]} against {meta.classes[0]}"
        if detector
        else f"name the type of a fracture: {', '.join(meta.classes)}"
    )
    counts = {
        part: len(evaluated.dataset.indices(part)) for part in ("train", "validation", "test")
    }
    behind = "" if data.filter is None else f", those that the detector in {data.filter} passes"
    rows = (
        (
            "Model",
            f"{config.model.name}, networks: {len(trained.metas)}, epoch "
            f"{epochs_of(trained.metas)}, started from {weights} weights",
        ),
        ("Task", task),
        ("Made with", versions()),
        ("Licence", "the code Apache-2.0; weights and data have their own"),
        (
            "Intended use",
            "research on detecting and typing fractures; a second look that is itself under study",
        ),
        (
            "Not for",
            "decisions about patients; other views, bodies, ages or machines than those of "
            "the training data; pictures that are no plain radiographs",
        ),
        (
            "Input",
            f"{meta.form.side}×{meta.form.side} pixels, channels: {meta.form.channels}, "
            f"8 bits, picture made square by: {data.fit}",
        ),
        ("Precision", _precision(evaluated)),
        ("Training data", f"{counts['train']} studies of {data.name}{behind}"),
        (
            "Chosen on",
            f"{counts['validation']} studies of validation{behind}: epoch, "
            f"{'threshold and ' if detector else ''}temperature",
        ),
        ("Judged on", f"{evaluated.predictions.n} studies of {evaluated.part}: {performance}"),
        (
            "Factors",
            "what the dataset records; age, sex, machine and hospital only where it does",
        ),
        (
            "Ethics",
            "a missed fracture harms; a false alarm costs time and dose. Which of the two "
            "weighs more is in the threshold, and was not asked of patients",
        ),
        (
            "Caveats",
            "one dataset, no external test; labels are taken as they are given"
            + ("" if data.name in DRAWN else "; two studies of one patient may lie on both sides"),
        ),
    )
    return Section("card", "Model card", (Facts(rows),))


def _precision(evaluated: EvaluatedRun) -> str:
    """What made the figures, and what another precision would make of them."""
    trained = evaluated.trained
    parts = {
        "float32": "float32",
        "tensorfloat32": "float32, multiplied as TensorFloat-32 where the device can",
        "bfloat16": "bfloat16 in convolutions and matrix products, float32 elsewhere",
    }
    before = trained.meta.config.model.precision
    trained_in = "" if before == trained.precision else f"; trained in {before}"
    compared = "" if evaluated.moved is None else f"; {evaluated.moved}"
    return f"{parts[trained.precision]}{trained_in}{compared}"
