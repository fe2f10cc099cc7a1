"""The CLAIM checklist, answered where the run knows the answer and left to its owner where not.

Source: Tejani et al. 2024, Radiology: Artificial Intelligence 6(4):e240300, "Checklist for
Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update". The items are in our words.
"""

from collections.abc import Collection

from fracjax.datasets.phantom.dataset import DRAWN
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.report.page import Prose, Section
from fracjax.report.sections.versions import versions
from fracjax.report.tables import Table

YOURS = "yours to answer"

_PUBLISHED = {
    "fracatlas": "FracAtlas (Abedeen et al. 2023), radiographs of three hospitals in Bangladesh",
    "bone_break": "Bone Break Classification (Roboflow Universe), figures from the web",
    "phantom": "drawn limbs: no patient, no acquisition, the truth known by construction",
    "phantom_types": "drawn limbs: no patient, no acquisition, the truth known by construction",
}


def claim_section(evaluated: EvaluatedRun, sections: Collection[str]) -> Section:
    """All 44 items; `sections` are the ids of those above, to which answers may point."""
    answers = _answers(evaluated, sections)
    rows = tuple(
        (str(number), asked, answers.get(number, YOURS)) for number, asked in enumerate(_ITEMS, 1)
    )
    open_items = sum(YOURS in answer for _, _, answer in rows)
    words = (
        f"{len(rows) - open_items} of {len(rows)} items are answered by the run itself; the others "
        "are about your study, and only you can answer them. The items are in our words."
    )
    return Section(
        "claim",
        "CLAIM 2024 checklist",
        (Prose((words,)), Table("CLAIM 2024", ("item", "what is asked", "this run"), rows)),
    )


_ITEMS = (
    "Title: says that it is AI, and of which kind",
    "Abstract: design, methods, results, conclusions",
    "Background, intended use and role",
    "Aims and hypotheses",
    "Prospective or retrospective",
    "Goal of the study",
    "Sources of the data",
    "What was included and excluded",
    "Preprocessing",
    "Selection of subsets",
    "De-identification",
    "Missing data",
    "Acquisition of the images",
    "Reference standard: how it was obtained",
    "Reference standard: why this one",
    "Reference standard: who annotated",
    "Annotation of the test set",
    "Variability between and within annotators",
    "How studies were assigned to partitions",
    "Level at which partitions are disjoint",
    "Intended sample size",
    "The model in detail",
    "Software and versions",
    "Initial parameters",
    "Training in detail",
    "How the final model was selected",
    "Ensembling",
    "Metrics",
    "Significance and uncertainty",
    "Robustness or sensitivity",
    "Explainability",
    "Evaluation on internal data",
    "Testing on external data",
    "Registration of a trial",
    "Numbers included and excluded",
    "Demographic and clinical characteristics by partition",
    "Performance with its uncertainty",
    "Diagnostic performance and its precision",
    "Analysis of failures",
    "Limitations",
    "Implications for practice",
    "Protocol or further technical details",
    "Availability of software, model and data",
    "Funding",
)


def _answers(evaluated: EvaluatedRun, sections: Collection[str]) -> dict[int, str]:
    config, data = evaluated.trained.meta.config, evaluated.trained.meta.config.data
    detector = evaluated.settled.point is not None
    name, split = data.name, evaluated.dataset.split
    parts = "/".join(f"{fraction:.0%}" for fraction in split.fractions)
    networks = len(evaluated.trained.metas)
    weights = (
        "random"
        if config.model.weights is None
        else f"ImageNet weights converted from Keras ({config.model.weights.name}), random head"
    )
    kind = "vision transformer" if config.model.name.startswith("vit") else "convolutional network"
    selected = "all studies of the classes"
    if data.subset != 1:
        selected = f"{data.subset:.0%} of the groups of training"
    if data.filter is not None:
        selected += f"; of training and validation those that {data.filter} calls fractured"
    answers = {
        1: f"deep learning: a {kind}",
        6: "detect a fracture" if detector else f"tell apart {', '.join(data.classes)}",
        7: _PUBLISHED.get(
            name, f"{name}, {len(evaluated.dataset.prepared)} studies; their source is " + YOURS
        ),
        8: "every file that decodes in full, in one label; refused files by reason under The data",
        9: f"grey values to 8 bits, {data.fit} to {data.image_size} pixels, "
        f"{evaluated.trained.meta.form.channels} channels, colour map {data.colormap}",
        10: (
            "all studies of the classes" if data.subset == 1 else f"{data.subset:.0%} of the groups"
        )
        if data.filter is None
        else f"studies that the detector {data.filter} calls fractured, in training and validation",
        12: "none: a study without a picture or a label is not taken",
        19: f"{parts}, stratified by class, seed {split.seed}",
        20: "groups of near duplicates, by perceptual hash and correlation; patients are not known",
        22: f"{config.model.name}; train.py --dry-run prints it by block",
        23: versions(),
        24: weights,
        25: "under Training, and in config.json of the run",
        26: "lowest validation loss",
        27: "none" if networks == 1 else f"mean of the probabilities of {networks} networks",
        28: "under Operating point and All thresholds" if detector else "under The classes",
        29: "95 % intervals on every figure; each table names how they were made",
        32: f"{evaluated.predictions.n} studies of {evaluated.part}",
        33: "none: every study is of the dataset that the networks were trained on",
        35: "under The data",
        37: "under Operating point" if detector else "under The classes",
        38: "under Operating point, with n and interval" if detector else "under The classes",
        40: "under Model card",
        43: "fracjax, Apache-2.0; the checkpoint is named above",
    }
    if "subgroups" in sections:
        answers[30] = "under Subgroups"
    if "mistakes" in sections:
        answers[31] = "class activation maps, under The worst mistakes"
        answers[39] = "under The worst mistakes"
    if name in DRAWN:
        drawn = "drawn limbs: no patient"
        answers |= {5: drawn, 11: drawn, 13: drawn, 36: drawn}
        answers |= {14: "by construction", 15: "by construction", 16: "by construction"}
        answers |= {17: "by construction", 18: "none: by construction"}
    return answers
