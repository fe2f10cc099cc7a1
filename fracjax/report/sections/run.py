"""What a run is made of: its data, its training, the model card, and the CLAIM checklist.

Sources: Mitchell et al. 2019, FAT*, arXiv:1810.03993, "Model Cards for Model Reporting"; Tejani et
al. 2024, Radiology: Artificial Intelligence 6(4):e240300, "Checklist for Artificial Intelligence in
Medical Imaging (CLAIM): 2024 Update". CLAIM's items are in our words.
"""

from collections.abc import Collection

from fracjax.report.charts.flow import data_flow_chart
from fracjax.report.charts.training import training_chart
from fracjax.report.facts import DataFacts, RunFacts, versions
from fracjax.report.page import Facts, Section, text
from fracjax.report.recipe import KEPT, beside_text, phase_text, result_text
from fracjax.report.table import Table

YOURS = "yours to answer"

_PUBLISHED = {
    "fracatlas": "FracAtlas (Abedeen et al. 2023), radiographs of three hospitals in Bangladesh",
    "bone_break": "Bone Break Classification (Roboflow Universe), figures from the web",
    "mura": "MURA (Rajpurkar et al. 2017), radiographs of the upper limb, Stanford Hospital",
    "grazpedwri_dx": "GRAZPEDWRI-DX (Nagy et al. 2022), wrists of children, Graz",
}
_PRECISIONS = {
    "float32": "float32",
    "tensorfloat32": "float32, multiplied as TensorFloat-32 where the device can",
    "bfloat16": "bfloat16 in convolutions and matrix products, float32 elsewhere",
}


def _who(data: DataFacts) -> str:
    if data.group_by:
        return f"Studies of one {data.group_by}, and near duplicates of any, lie in one part."
    if data.drawn:
        return "Phantoms are drawn one by one, so their images are not compared."
    return "Patients are not known here: two studies of one person may still lie in two parts."


def data_section(data: DataFacts) -> Section:
    """The flow of files into the parts, and the leakage audit."""
    many = [n for n in data.groups if n > 1]
    near = f"{len(many)} groups of two or more, {sum(many)} studies; each group lies in one part"
    facts = (
        ("Dataset", data.name),
        ("Split", f"{data.split_hash[:12]}, seed {data.seed}, by group"),
        (f"Groups by {data.group_by}" if data.group_by else "Near duplicates", near),
        *(("Audit", audit) for audit in data.audits),
    )
    images = ", and no image that is nearly another's, turned or mirrored"
    words = text(
        "The audit was made anew for this report: no file and no group may be on both "
        f"sides{images if data.compared else ''}. One such pair and there would be no report.",
        _who(data),
    )
    chart = data_flow_chart(data.files, data.refused, data.parts)
    return Section("data", "The data", (chart, Facts(facts), words, data.audit_table))


def training_section(run: RunFacts, members: Table | None) -> Section:
    """Loss, accuracy and AUC by epoch, of each network, and the table of several networks."""
    chart = training_chart(run.networks, "Loss and accuracy by epoch")
    words = text(f"{run.said(_training)}.")
    return Section("training", "Training", (chart, words, *([members] if members else [])))


def _training(run: RunFacts) -> str:
    config = run.config
    phases = "; ".join(phase_text(phase, config.train) for phase in config.phases)
    epochs = ", ".join(str(len(history.epochs)) for history in run.histories.values())
    learned = beside_text(config).removesuffix(".")
    return (
        f"{config.model.name} at {config.data.image_size} pixels, batches of "
        f"{config.data.batch_size}: {phases}. Stopped after {epochs} epochs; "
        f"{'. '.join(filter(None, (result_text(config.train), learned)))}"
    )


def card_section(run: RunFacts, performance: str) -> Section:
    """Facts in the order of the paper's card; `performance` has the main figures in one line."""
    data = run.config.data
    caveats = "one dataset, no external test" if run.external is None else "one external dataset"
    caveats += "; labels are taken as they are given"
    if run.data.group_by:
        caveats += f"; studies are kept apart by {run.data.group_by} and by their looks alone"
    elif not run.data.drawn:
        caveats += "; two studies of one patient may lie on both sides"
    task = f"name the class: {', '.join(data.classes)}"
    if run.point:
        task = f"score a radiograph for {data.classes[1]} against {data.classes[0]}"
    rows = {
        "Model": (f"the mean of {1 + len(run.others)} runs: " if run.others else "")
        + run.said(_model),
        "Task": task,
        "Made with": versions(),
        "Licence": "the code Apache-2.0; weights and data have their own",
        "Intended use": "research on detecting and typing fractures; a second look that is itself "
        "under study",
        "Not for": "decisions about patients; other views, bodies, ages or machines than those of "
        "the training data; images that are no plain radiographs",
        "Input": run.said(_input),
        "Precision": "; ".join(filter(None, [run.said(_precision), run.precision_shift])),
        "Training data": run.said(_training_data),
        "Chosen on": run.said(_chosen_on),
        "Evaluated on": f"{run.evaluated_on}: {performance}",
        "Factors": "what the dataset records; age, sex, machine and hospital only where it does",
        "Ethics": "a missed fracture harms; a false alarm costs time and dose. Which of the two "
        "weighs more is in the threshold, and was not asked of patients",
        "Caveats": caveats,
    }
    return Section("card", "Model card", (Facts(tuple(rows.items())),))


def _model(run: RunFacts) -> str:
    model = run.config.model
    weights = run.start or f"{model.weights or 'random'} weights"
    return (
        f"{model.name}, networks: {len(run.histories)}, epoch {run.epoch}, started from {weights}"
    )


def _input(run: RunFacts) -> str:
    data = run.config.data
    return (
        f"{data.image_size}×{data.image_size} pixels, channels: {run.channels}, {run.greys}; image "
        f"made square by: {data.fit}"
    )


def _precision(run: RunFacts) -> str:
    own = run.config.model.precision
    return _PRECISIONS[run.precision] + (f"; trained in {own}" if own != run.precision else "")


def _passed(run: RunFacts) -> str:
    detector = run.config.data.filter
    return f", those that the detector in {detector} passes" if detector else ""


def _training_data(run: RunFacts) -> str:
    of_those = f"; of those, {run.subset}" if run.subset else ""
    return f"{run.data.count('train')} studies of {run.data.name}{_passed(run)}{of_those}"


def _chosen_on(run: RunFacts) -> str:
    settled = [*(["epoch"] if run.config.train.keep != "last" else []), "temperature"]
    settled += ["threshold"] if run.point else []
    return f"{run.data.count('validation')} studies of validation{_passed(run)}: " + ", ".join(
        settled
    )


def claim_section(run: RunFacts, sections: Collection[str]) -> Section:
    """All 44 items; `sections` are the ids of those above, to which answers may point."""
    answers = _answers(run, sections)
    rows = tuple((str(i), asked, said) for i, (asked, said) in enumerate(answers.items(), 1))
    open_items = sum(YOURS in said for said in answers.values())
    words = text(
        f"{len(rows) - open_items} of {len(rows)} items are answered by the run itself; the others "
        "are about your study, and only you can answer them. The items are in our words."
    )
    table = Table("CLAIM 2024", ("item", "what is asked", "this run"), rows)
    return Section("claim", "CLAIM 2024 checklist", (words, table))


def _answers(run: RunFacts, sections: Collection[str]) -> dict[str, str]:
    """Each item with its answer, in their order."""
    data, name = run.config.data, run.config.data.name
    detector, n = run.point is not None, len(run.networks)
    fractions = "/".join(f"{fraction:.0%}" for fraction in run.data.fractions)
    networks = f"{n} networks"
    if run.others:
        networks += f" of {1 + len(run.others)} runs, each run one vote"
    studies = f", {run.data.studies} studies" if run.data.at_hand else ""
    unknown = f"{name}{studies}; their source is {YOURS}"
    source, drawn, constructed, variability = _PUBLISHED.get(name, unknown), YOURS, YOURS, YOURS
    if run.data.drawn:
        drawn, constructed = "drawn limbs: no patient", "by construction"
        variability = f"none: {constructed}"
        source = f"{drawn}, no acquisition, the truth known by construction"
    by, gone = run.data.group_by, f"not known here: {name} is not at hand"
    disjoint = f"{by}, by the column of that name" if by else "patients are not known"
    levels = f"groups of near duplicates, by perceptual hash and correlation; {disjoint}"
    assigned = f"{fractions}, stratified by class, seed {run.data.seed}"
    figures = "under Operating point" if detector else "under The classes"
    failures = "under The worst mistakes"
    robustness = "under Drift" if run.external and run.data.at_hand else YOURS
    internal, external = (
        run.evaluated_on,
        "none: every study is of the dataset that the networks were trained on",
    )
    if run.external:
        internal, external = "in the run's own report on test", run.evaluated_on
    return {
        "Title: says that it is AI, and of which kind": f"deep learning: {run.said(_kind)}",
        "Abstract: design, methods, results, conclusions": YOURS,
        "Background, intended use and role": YOURS,
        "Aims and hypotheses": YOURS,
        "Prospective or retrospective": drawn,
        "Goal of the study": f"detect {data.classes[1]} studies among {data.classes[0]}"
        if detector
        else f"tell apart {', '.join(data.classes)}",
        "Sources of the data": source,
        "What was included and excluded": "every file that decodes in full, in one label; refused "
        "files by reason under The data",
        "Preprocessing": run.said(_preprocessing),
        "Selection of subsets": run.said(_selected),
        "De-identification": drawn,
        "Missing data": "none: a study without an image or a label is not taken",
        "Acquisition of the images": drawn,
        "Reference standard: how it was obtained": constructed,
        "Reference standard: why this one": constructed,
        "Reference standard: who annotated": constructed,
        "Annotation of the test set": constructed,
        "Variability between and within annotators": variability,
        "How studies were assigned to partitions": assigned if run.data.at_hand else gone,
        "Level at which partitions are disjoint": levels if run.data.at_hand else gone,
        "Intended sample size": YOURS,
        "The model in detail": f"{run.said(lambda one: one.config.model.name)}; `fracjax train "
        "--dry-run` prints it by block",
        "Software and versions": versions(),
        "Initial parameters": run.said(_initial),
        "Training in detail": "under Training, and in config.json of the run",
        "How the final model was selected": run.said(_final),
        "Ensembling": f"mean of the probabilities of {networks}" if n > 1 else "none",
        "Metrics": "under Operating point and All thresholds" if detector else figures,
        "Significance and uncertainty": "95 % intervals on every figure; each table names how they "
        "were made",
        "Robustness or sensitivity": "under Subgroups" if "subgroups" in sections else robustness,
        "Explainability": f"class activation maps, {failures}" if "mistakes" in sections else YOURS,
        "Evaluation on internal data": internal,
        "Testing on external data": external,
        "Registration of a trial": YOURS,
        "Numbers included and excluded": "under The data",
        "Demographic and clinical characteristics by partition": drawn,
        "Performance with its uncertainty": figures,
        "Diagnostic performance and its precision": f"{figures}, with n and interval"
        if detector
        else figures,
        "Analysis of failures": failures if "mistakes" in sections else YOURS,
        "Limitations": "under Model card",
        "Implications for practice": YOURS,
        "Protocol or further technical details": YOURS,
        "Availability of software, model and data": "fracjax, Apache-2.0; the checkpoint is named "
        "above",
        "Funding": YOURS,
    }


def _kind(run: RunFacts) -> str:
    transformer = run.config.model.name.startswith("vit")
    return f"a {'vision transformer' if transformer else 'convolutional network'}"


def _preprocessing(run: RunFacts) -> str:
    data = run.config.data
    return (
        f"grey values to {run.greys}; {data.fit} to {data.image_size} pixels, {run.channels} "
        f"channels, colour map {data.colormap}"
    )


def _selected(run: RunFacts) -> str:
    detector = run.config.data.filter
    passed = f"studies that the detector {detector} calls positive, in training and validation"
    found = filter(None, (passed if detector else "", run.subset))
    return "; of those, ".join(found) or "all studies of the classes"


def _initial(run: RunFacts) -> str:
    file = run.config.model.weights
    converted = f"ImageNet weights converted from Keras ({file.name}), random head" if file else ""
    return run.start or converted or "random"


def _final(run: RunFacts) -> str:
    keep = run.config.train.keep
    return KEPT[keep] + ("; nothing was selected" if keep == "last" else "")
