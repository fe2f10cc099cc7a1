"""What an evaluation on another dataset says of it: for its report, for metrics.json, on screen."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fracjax.datasets.labelled_folder import LabelledFolder
from fracjax.datasets.prepared import MANIFEST, counted, read_manifest, refusals_by_reason
from fracjax.inference.external import External
from fracjax.report.facts import ExternalFacts
from fracjax.report.table import pluralise
from fracjax.workflows.pages import data_facts


def external_facts(external: External) -> ExternalFacts:
    """What a report says of another dataset than that of training."""
    dataset, prepared = external.dataset, external.dataset.prepared
    of_no_class = int((dataset.labels(np.arange(len(prepared))) < 0).sum())
    evaluated, seen = len(dataset.indices("test")), len(external.left_out)
    others = {
        "of a class that this run does not have": of_no_class,
        "seen by the run": seen,
        "of another part": len(prepared) - evaluated - seen - of_no_class,
    }
    facts = data_facts(dataset, external.leakage, ("test",))
    rows = read_manifest(prepared.manifest_path)
    refused = refusals_by_reason(rows)
    refused |= {f"not refused: {why}": n for why, n in others.items() if n}
    facts = replace(facts, refused=refused, parts={"evaluated": facts.parts["test"]})
    notes = list(external.notes)
    if isinstance(prepared, LabelledFolder):
        noted = sum(bool(row.note) for row in rows)
        notes.append(f"{pluralise(noted, 'file')} with a note, in {MANIFEST} beside this report.")
    return ExternalFacts(
        external.name, str(external.path), facts, external.left_out, notes, external.gone
    )


def described(external: External) -> dict[str, Any]:
    """What metrics.json says of another dataset than that of training."""
    return {
        "dataset": external.dataset.prepared.name,
        "path": str(external.path),
        "classes": list(external.dataset.data.classes),  # that stand for those of the run
        "left_out": external.left_out,
        "notes": external.notes,
    }


def show_external(external: External, folder: Path, console: Console) -> None:
    """Print what became of its studies, and keep the manifest of a labelled folder."""
    lines = [*external.notes]
    if external.left_out:
        n = pluralise(len(external.left_out), "study")
        lines.append(f"left out, since the run has seen them: {n} (metrics.json names them)")
    prepared = external.dataset.prepared
    if isinstance(prepared, LabelledFolder):
        # Its own is in a temporary folder.
        shutil.copy(prepared.manifest_path, folder / MANIFEST)
        rows = read_manifest(prepared.manifest_path)
        reasons = refusals_by_reason(rows)
        why = counted(reasons)
        lines.append(f"files refused: {sum(reasons.values())}" + (f" ({why})" if why else ""))
        noted = sum(bool(row.note) for row in rows)
        lines.append(f"files with a note: {noted} ({MANIFEST} has all)")
        if prepared.skipped:
            lines.append(f"skipped, without a row: {counted(prepared.skipped)}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
