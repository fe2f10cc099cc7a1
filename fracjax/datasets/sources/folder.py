"""A user's own pictures: ROOT/<class>/**/*.{jpg,png,tif,bmp,dcm}, with or without attributes.

The CSV of attributes has a column `filename`, the path below ROOT (`fracture/a.jpg`) or the bare
file name where that is unique; every other column becomes a text attribute.
"""

import csv
from functools import partial
from pathlib import Path, PurePosixPath

from fracjax.datasets.records import RecordBuilder
from fracjax.datasets.sources.archive import Source, Study
from fracjax.errors import InputError

SIMILARITY = 0.65  # as for FracAtlas: pictures of one clinic look alike


class Folder(RecordBuilder):
    """Builder.

    Args:
      source: ROOT, or a zip of its content.
      classes: names of the class folders, the negative class first; None for all of them, in
        alphabetical order.
      attributes: the CSV, or None.
      data_dir: tfds writes below `data_dir/folder/<version>`.
    """

    name = "folder"
    description = "A user's own radiographs, one folder per class."

    def __init__(
        self,
        *,
        source: Path,
        data_dir: Path,
        classes: tuple[str, ...] | None = None,
        attributes: Path | None = None,
    ):
        self.source = Source(source)
        found = sorted({name.split("/")[0] for name in self.source.names if "/" in name})
        chosen = classes or tuple(name for name in found if not name.startswith((".", "__MACOSX")))
        _check_classes(chosen, found, source)
        self.columns, self.table = _read_attributes(attributes) if attributes else ((), {})
        super().__init__(
            classes=chosen,
            attributes=dict.fromkeys(self.columns, str),
            similarity=SIMILARITY,
            data_dir=data_dir,
        )

    def studies(self) -> list[Study]:  # noqa: D102 (see RecordBuilder)
        paths = [name for name in self.source.names if name.split("/")[0] in self.classes]
        rows = self._rows(paths)
        return [
            Study(
                study=path,
                path=path,
                label=path.split("/")[0],
                read=partial(self.source.read, path),
                attributes=rows.get(path, dict.fromkeys(self.columns, "")),
            )
            for path in paths
            if "/" in path
        ]

    def _rows(self, paths: list[str]) -> dict[str, dict[str, str]]:
        """Path -> its row. Pictures without one keep empty attributes."""
        places: dict[str, list[str]] = {path: [path] for path in paths}
        for path in paths:
            places.setdefault(PurePosixPath(path).name, []).append(path)
        problems = []
        rows = {}
        for name, row in self.table.items():
            where = places.get(name, [])
            if len(where) == 1:
                rows[where[0]] = row
            elif where:
                problems.append(f"{name} is ambiguous: {', '.join(where)}")
            else:
                problems.append(f"{name} is no file below {self.source.path}")
        if problems:
            raise InputError(
                f"--attributes: {len(problems)} rows match no single picture: "
                + "; ".join(problems[:20])
            )
        return rows


def _check_classes(chosen: tuple[str, ...], found: list[str], source: Path) -> None:
    problems = []
    if absent := [name for name in chosen if name not in found]:
        problems.append(f"no folder for class {', '.join(absent)}")
    if len(set(chosen)) != len(chosen):
        problems.append("a class is named twice")
    if len(chosen) < 2:
        problems.append("fewer than two classes")
    if problems:
        raise InputError(
            f"--source {source}: {'; '.join(problems)}; expected {source}/<class>/*.jpg, "
            f"found the folders {', '.join(found) or '(none)'}"
        )


def _read_attributes(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """The columns and the rows of the CSV, by file name."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--attributes {path}: not a readable CSV in UTF-8: {error}") from error
    if "filename" not in columns or len(set(columns)) != len(columns):
        raise InputError(
            f"--attributes {path}: expected a header with `filename` and distinct columns, "
            f"found {', '.join(map(repr, columns)) or 'nothing'}"
        )
    problems = []
    table: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            problems.append(f"line {line} has not {len(columns)} fields")
        elif row["filename"] in table:
            problems.append(f"line {line}: {row['filename']} comes twice")
        else:
            name = row.pop("filename").replace("\\", "/")
            table[name] = row
    if problems:
        raise InputError(f"--attributes {path}: " + "; ".join(problems[:20]))
    return tuple(column for column in columns if column != "filename"), table
