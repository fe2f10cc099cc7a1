"""A user's own images: ROOT/<class>/**/*, whatever they are called, with or without attributes.

Or ROOT/<part>/<class>/**/*, the folders on top called as parts of a split are (train, val, test):
that split is then taken.

The CSV of attributes has a column `filename`, the path below ROOT (`fracture/a.jpg`) or the last
parts of it where these are unique; every other column becomes a text attribute.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fracjax.config.class_names import as_known, class_key
from fracjax.datasets.columns import part_named
from fracjax.datasets.request import Request, classes_of
from fracjax.datasets.sources.archive import Contents, Source, Study
from fracjax.errors import InputError
from fracjax.runtime.csv_table import CsvTable, files_of, names_of, read_table


def folder(
    request: Request,
    path: Path,
    choose: Callable[[Sequence[str]], tuple[str, ...]] | None = None,
) -> Contents:
    """What a folder of the user, or a zip of its content, holds.

    Folders whose names differ in case or Unicode form only are one class. `choose` says which of
    those that are there to take, in their order; by default `classes_of` the request.
    """
    source, attributes = Source(path), request.attributes
    top = _top(source, request)
    names = [name.removeprefix(top) for name in source.names]
    depth = int(_has_parts(names, request))  # of the class among the folders of a path
    folders = sorted({name.split("/")[depth] for name in names if name.count("/") > depth})
    # A zip or disk of macOS spells names in NFD; nobody types them so.
    distinct = {class_key(name): unicodedata.normalize("NFC", name) for name in folders[::-1]}
    found = tuple(distinct[key] for key in sorted(distinct))
    chosen = classes_of(request, found) if choose is None else choose(found)
    class_of = dict(zip(folders, as_known(folders, chosen), strict=True))
    inside = {
        top + name: label
        for name in names
        if name.count("/") > depth and (label := class_of[name.split("/")[depth]])
    }
    files = {name.removeprefix(top): inside[name] for name in source.skip(inside)}
    columns, rows = (), {}
    if attributes is not None:
        table = read_table(attributes.read_bytes(), f"--attributes {attributes}", "filename")
        columns, rows = table.columns, _rows(table, list(files), path)
    return Contents(
        name="folder",
        description="A user's own radiographs, one folder per class.",
        classes=chosen,
        studies=[
            Study(
                study=file,
                path=top + file,
                label=label,
                read=partial(source.read, top + file),
                attributes=rows.get(file, dict.fromkeys(columns, "")),
                part=part_named(file.split("/")[0]) if depth else "",
            )
            for file, label in files.items()
        ],
        skipped=source.skipped,
    )


def _top(source: Source, request: Request) -> str:
    """The folder with "/" that the class folders lie in, as in a zip of ROOT itself; often "".

    A folder is entered only for classes that were named, for it may be a class, and what lies in it
    patients.
    """
    top = source.one_folder_on_top()
    named = {class_key(name) for name in (*request.classes, request.positive) if name}
    if not top or part_named(top[:-1]) or class_key(top[:-1]) in named:
        return ""
    inside = {class_key(name.split("/")[1]) for name in source.names if name.count("/") > 1}
    parts = any(map(part_named, inside))
    asked = named <= inside if named else not source.path.is_dir()
    return top if parts or asked else ""


def _has_parts(names: Sequence[str], request: Request) -> bool:
    """Whether the folders on top are parts of a split. Classes may have such names, if written."""
    top = sorted({name.split("/")[0] for name in names if "/" in name})
    parts, others = [], []
    for name in top:
        (parts if part_named(name) else others).append(name)
    written = set(map(class_key, request.classes))
    # Classes that are folders on top, so that the others there are of no interest.
    if not parts or (written and written <= set(map(class_key, top))):
        return False
    problems = {
        f"{', '.join(others)} beside them is none: move it away, or write --classes with the "
        "folders that are classes": others,
        "there is no train": "train" not in map(part_named, parts),
    }
    if found := [problem for problem, broken in problems.items() if broken]:
        folders = f"the folders {', '.join(parts)} are parts of a split"
        raise InputError(f"--source {request.source}: {folders}; {'; '.join(found)}")
    return True


def _rows(table: CsvTable, files: list[str], root: Path) -> dict[str, dict[str, str]]:
    """Path -> its row. Images without one keep empty attributes."""
    problems, rows = [], {}
    places = files_of(table.rows, files)
    for file, names in names_of(places).items():
        if len(names) > 1:
            problems.append(f"{', '.join(names)} all mean {file}")
    for name, where in places.items():
        match where:
            case [file]:
                rows[file] = table.rows[name]
            case []:
                problems.append(f"{name} is no file below {root}")
            case _:
                problems.append(f"{name} is ambiguous: {', '.join(where)}")
    if problems:
        raise InputError(
            f"--attributes: {len(problems)} rows match no single image: " + "; ".join(problems[:20])
        )
    return rows
