"""The networks of a learning curve on validation: on the screen, as a file and as a page."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fracjax.evaluation.learning_curve import learning_curve
from fracjax.inference.model_bundle import open_run
from fracjax.inference.trained_dataset import audit_part, open_as_trained
from fracjax.report import html
from fracjax.report.page import Page, Section
from fracjax.report.sections.learning_curve import answers, learning_section, tables
from fracjax.report.sections.run import data_section
from fracjax.report.sections.summary import NOT_A_DEVICE
from fracjax.runtime.atomic_files import replacing, to_json, write_json
from fracjax.runtime.multihost import folder_of_first
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.training_data import examples_of
from fracjax.workflows.pages import data_facts, today
from fracjax.workflows.train import open_detector


def show_learning_curve(
    workdir: Path, metas: Sequence[CheckpointMetadata], console: Console
) -> None:
    """Predict validation by every network; print, and keep in the workdir, what came of it.

    `metas` is what the last checkpoint says of each, the smallest fraction first, by seed within
    one, their training being over. `learning_curve.json` has the figures, `learning_curve.html` the
    chart.

    Raises:
      InputError: the dataset is gone or split otherwise, or validation has leaked from training.
    """
    mesh, configs = data_mesh(), [meta.config for meta in metas]
    dataset = open_as_trained(metas[0], None)
    audits = audit_part(metas[0], dataset, "validation", None)
    detector = None if (path := configs[0].data.filter) is None else open_detector(path, mesh)
    examples = examples_of(configs, dataset, detector)
    predictions = [
        open_run(config.workdir, mesh).predict(validation)
        for config, (_, validation) in zip(configs, examples, strict=True)
    ]
    sizes = [len(train) for train, _ in examples]
    curve = learning_curve([config.data.subset for config in configs], sizes, predictions)
    said = answers(curve)
    seeds = sorted({config.train.seed for config in configs})
    source = {
        "part": "validation",
        "split": metas[0].split_hash,
        "classes": list(metas[0].classes),
        "runs": [str(config.workdir) for config in configs],
        "seeds": seeds,
    }
    figures = {"source": source, "figures": to_json(curve), "answer": list(said)}
    write_json(workdir / "learning_curve.json", figures)
    facts = (
        ("Networks", f"{workdir}, {configs[0].model.name}, seed {', '.join(map(str, seeds))}"),
        ("Classes", ", ".join(metas[0].classes)),
        ("Studies", "all" if path is None else f"those that the detector {path} lets through"),
        ("Split", metas[0].split_hash[:12]),
        ("Date", today()),
    )
    page = Page(
        f"Learning curve on {configs[0].data.name}, validation",
        facts,
        (
            learning_section(curve),
            data_section(data_facts(dataset, audits)),
            Section("use", "Use", (NOT_A_DEVICE,)),
        ),
    )
    written = folder_of_first(workdir) / "learning_curve.html"
    with replacing(written) as unfinished:
        unfinished.write_text(html.render(page), "utf-8", "backslashreplace")
    for table in tables(curve):
        console.print(table.rich())
    for line in (*said, f"figures: {workdir / 'learning_curve.json'}", f"page: {written}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
