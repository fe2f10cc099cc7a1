"""A user's own images: ROOT/<class>/**/*, whatever they are called, with or without attributes.

The CSV of attributes has a column `filename`, the path below ROOT (`fracture/a.jpg`) or the bare
file name where that is unique; every other column becomes a text attribute.
"""

from functools import partial
from pathlib import Path, PurePosixPath

from fracjax.datasets.sources.archive import Contents, Source, Study, read_table
from fracjax.errors import InputError


def folder(path: Path, classes: tuple[str, ...] | None, attributes: Path | None) -> Contents:
    """What a folder of the user, or a zip of its content, holds.

    `classes` are names of class folders, the negative class first; None for all of them, in
    alphabetical order. `attributes` is the CSV.
    """
    source = Source(path)
    top = _top(source, classes)
    names = [name.removeprefix(top) for name in source.names]
    found = sorted({name.split("/")[0] for name in names if "/" in name})
    chosen = classes or tuple(found)
    _check_classes(chosen, found, path / top)
    columns, table = (), {}
    if attributes is not None:
        what = f"--attributes {attributes}"
        columns, table = read_table(attributes.read_bytes(), what, "filename")
    files = [name for name in names if "/" in name and name.split("/")[0] in chosen]
    rows = _rows(table, files, path)
    return Contents(
        name="folder",
        description="A user's own radiographs, one folder per class.",
        classes=chosen,
        studies=[
            Study(
                study=file,
                path=top + file,
                label=file.split("/")[0],
                read=partial(source.read, top + file),
                attributes=rows.get(file, dict.fromkeys(columns, "")),
            )
            for file in files
        ],
        skipped=source.skipped,
    )


def _top(source: Source, classes: tuple[str, ...] | None) -> str:
    """The folder with "/" that the class folders lie in, as in a zip of ROOT itself; often "".

    A folder is entered only for the classes that were named, for it may be a class, and what lies
    in it patients.
    """
    top = source.one_folder_on_top()
    if not top or (classes is None and source.path.is_dir()):
        return ""
    wanted = {top + name for name in classes or ()}
    inside = {"/".join(name.split("/")[:2]) for name in source.names}
    return top if wanted <= inside and top[:-1] not in (classes or ()) else ""


def _rows(
    table: dict[str, dict[str, str]], files: list[str], root: Path
) -> dict[str, dict[str, str]]:
    """Path -> its row. Images without one keep empty attributes."""
    places: dict[str, list[str]] = {file: [file] for file in files}
    for file in files:
        places.setdefault(PurePosixPath(file).name, []).append(file)
    problems, rows = [], {}
    for name, row in table.items():
        match places.get(name, []):
            case [file]:
                rows[file] = row
            case []:
                problems.append(f"{name} is no file below {root}")
            case where:
                problems.append(f"{name} is ambiguous: {', '.join(where)}")
    if problems:
        raise InputError(
            f"--attributes: {len(problems)} rows match no single image: " + "; ".join(problems[:20])
        )
    return rows


def _check_classes(chosen: tuple[str, ...], found: list[str], source: Path) -> None:
    absent = [name for name in chosen if name not in found]
    checks = {
        f"no folder for class {', '.join(absent)}": absent,
        "a class is named twice": len(set(chosen)) < len(chosen),
        "fewer than two classes": len(chosen) < 2,
    }
    if problems := [problem for problem, wrong in checks.items() if wrong]:
        raise InputError(
            f"--source {source}: {'; '.join(problems)}; expected {source}/<class>/*.jpg, "
            f"found the folders {', '.join(found) or '(none)'}"
        )
