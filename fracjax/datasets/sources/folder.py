"""A user's own images: ROOT/<class>/**/*, whatever they are called, with or without attributes.

The CSV of attributes has a column `filename`, the path below ROOT (`fracture/a.jpg`) or the bare
file name where that is unique; every other column becomes a text attribute.
"""

import unicodedata
from functools import partial
from pathlib import Path

from fracjax.config.class_names import as_known, class_key
from fracjax.datasets.request import Request, classes_of
from fracjax.datasets.sources.archive import Contents, Source, Study
from fracjax.datasets.sources.csv_table import CsvTable, files_of, read_table
from fracjax.errors import InputError


def folder(request: Request, path: Path) -> Contents:
    """What a folder of the user, or a zip of its content, holds.

    Folders whose names differ in case or Unicode form only are one class.
    """
    source, attributes = Source(path), request.attributes
    top = _top(source, request)
    names = [name.removeprefix(top) for name in source.names]
    folders = sorted({name.split("/")[0] for name in names if "/" in name})
    # A zip or disk of macOS spells names in NFD; nobody types them so.
    distinct = {class_key(name): unicodedata.normalize("NFC", name) for name in folders[::-1]}
    chosen = classes_of(request, tuple(distinct[key] for key in sorted(distinct)))
    class_of = dict(zip(folders, as_known(folders, chosen), strict=True))
    files = {
        name: label for name in names if "/" in name and (label := class_of[name.split("/")[0]])
    }
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
    if not top or class_key(top[:-1]) in named or (not named and source.path.is_dir()):
        return ""
    inside = {class_key(name.split("/")[1]) for name in source.names if name.count("/") > 1}
    return top if named <= inside else ""


def _rows(table: CsvTable, files: list[str], root: Path) -> dict[str, dict[str, str]]:
    """Path -> its row. Images without one keep empty attributes."""
    problems, rows = [], {}
    for name, where in files_of(table.rows, files).items():
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
