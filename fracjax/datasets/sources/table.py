"""A user's own images in any folders, with a CSV that says what each is.

Its columns are `file` (the path below the source, or the last parts of it where these are unique,
with or without suffix) and `label`; `part` (of the body) and `patient`, if they are there, and
every other one become text attributes. Images of a patient are of one group, though not all may
have one.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fracjax.config.class_names import as_known, class_key
from fracjax.datasets.request import Request, classes_of
from fracjax.datasets.sources.archive import Contents, Source, Study
from fracjax.errors import InputError
from fracjax.runtime.csv_table import CsvTable, files_of, names_of, read_table


def table(request: Request, path: Path) -> Contents:
    """What a table of the user says of the images in a folder or a zip."""
    assert request.labels is not None  # as `request.check` has seen
    source, labels = Source(path), request.labels
    read = read_table(labels.read_bytes(), f"--labels {labels}", "file", ("label",))
    written = {row["label"].strip() for row in read.rows.values()} - {""}
    distinct = {class_key(name): name for name in sorted(written, reverse=True)}
    chosen = classes_of(request, tuple(distinct[key] for key in sorted(distinct)))
    own = path.resolve() / "x"  # the table may lie among the images
    inside = labels.resolve().is_relative_to(own.parent)
    itself = labels.resolve().relative_to(own.parent).as_posix() if inside else ""
    files = [file for file in source.names if file != itself]
    all_known = all(row.get("patient", "").strip() for row in read.rows.values())
    return Contents(
        name="table",
        group_by="patient" if all_known else "",
        description="A user's own radiographs, with a table of their labels.",
        classes=chosen,
        studies=list(_studies(source, files, read, chosen, labels.name)),
        skipped=source.skipped,
    )


def _studies(
    source: Source, files: list[str], read: CsvTable, classes: tuple[str, ...], labels: str
) -> Iterator[Study]:
    images = [file for file in files if not source.why_no_image(file)]
    places = files_of(read.rows, images)
    # A name may mean what is no image only where it means no image; that has a row then.
    absent = [name for name, where in places.items() if not where]
    places |= files_of(absent, sorted({*files} - {*images}))
    rows_of = names_of(places)
    if not rows_of:
        some = ", ".join(files[:3]) or "nothing"
        raise InputError(
            f"--labels {labels}: none of the {len(places)} files that it names is in --source "
            f"{source.path}. It names {', '.join(list(places)[:3])}; there are {some}. Write into "
            "the column file the path below --source, or the file's name"
        )
    columns = [column for column in read.columns if column != "label"]

    def study(file: str, row: dict[str, str], label: str, problem: str | None) -> Study:
        patient = row.get("patient", "").strip()
        return Study(
            study=file,
            path=file,
            label=label,
            read=partial(source.read, file),
            attributes={column: row.get(column, "").strip() for column in columns},
            links=(f"patient = {patient}",) if patient else (),
            problem=problem,
        )

    for name, row in read.rows.items():
        (label,) = as_known([row["label"].strip()], classes)
        if label is None and row["label"].strip():
            continue  # of a class that is not taken
        where, line = places[name], f"line {read.line[name]} of {labels}"
        problem = None
        if label is None:
            problem = f"no label: {line} has none"
        elif not where:
            problem = f"missing: {line} names it, no such file"
        elif len(where) > 1:
            problem = f"ambiguous: {line} may mean {', '.join(where)}"
        elif len(rows_of[where[0]]) > 1:
            lines = ", ".join(str(read.line[other]) for other in rows_of[where[0]])
            problem = f"ambiguous: lines {lines} of {labels} may mean {where[0]}"
        single = len(where) == 1 and len(rows_of[where[0]]) == 1
        yield study(where[0] if single else name, row, label or "", problem)
    for file in source.skip(file for file in files if file not in rows_of):
        yield study(file, {}, "", f"no label: not in {labels}")
