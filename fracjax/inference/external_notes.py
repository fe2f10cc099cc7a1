"""What a reader of an external test must know of its studies beside the figures, in words."""

import numpy as np

from fracjax.datasets.common_depth import unlike
from fracjax.datasets.leakage import Studies
from fracjax.datasets.prepared import read_manifest, undeclared_bits
from fracjax.loading.dataset_view import Dataset
from fracjax.training.checkpoint import CheckpointMetadata


def depths_note(meta: CheckpointMetadata, evaluated: Studies) -> str:
    """How files that declare no depth are read, where that does not fit all of these studies."""
    names = set(evaluated.names)
    rows = [row for row in read_manifest(evaluated.prepared.manifest_path) if row.study in names]
    bits = undeclared_bits(rows)
    read = "Files that declare no depth are read as in the training of the run"
    if meta.depth is None:
        return f"{read}, each by itself: {len(bits)} of these studies." if bits else ""
    unfit = unlike(meta.depth, bits)
    return f"{read}, as {meta.depth} bits: {len(bits)} studies ({unfit})." if unfit else ""


def absent_classes_note(view: Dataset, evaluated: Studies) -> str:
    """Whether a class of the run has no study here."""
    label = view.labels(evaluated.index)
    absent = [name for i, name in enumerate(view.data.classes) if not np.any(label == i)]
    return (
        f"No study of {', '.join(absent)}: figures that need one are undefined, and those that "
        "rest on how frequent classes are (precision, accuracy, F1) hold for such studies alone."
        if absent
        else ""
    )


def test_files_note(trained: Dataset, evaluated: Studies) -> str:
    """Whether studies are known from the run's own test part, which leaks nothing."""
    own = trained.prepared.sha256[trained.indices("test")]
    n = int(np.isin(evaluated.prepared.sha256[evaluated.index], own).sum())
    name = trained.prepared.name
    return f"{n} of these studies are files of the test part of {name}, too." if n else ""


def shared_values_note(trained: Dataset, evaluated: Studies) -> str:
    """Whether a column such as patient, by which either is grouped, has the same values in both."""
    ours, theirs = trained.prepared, evaluated.prepared
    said = []
    for column in dict.fromkeys(filter(None, (ours.group_by, theirs.group_by))):
        if column in ours.attributes and column in theirs.attributes:
            index = np.concatenate([trained.indices(part) for part in ("train", "validation")])
            before = ours.attributes[column][index].astype(str)
            here = theirs.attributes[column][evaluated.index].astype(str)
            n = np.intersect1d(before[before != ""], here).size
            said.append(
                f"Both datasets have a column {column}; {n} of its values here occur in training "
                "or validation, too. Nothing was left out for that: names may coincide between "
                "hospitals."
            )
    return " ".join(said)
