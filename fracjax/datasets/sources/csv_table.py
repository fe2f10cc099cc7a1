"""Tables that come with images, read whole or refused by line, and the files that rows mean."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fracjax.errors import InputError

_SHOWN = 20


@dataclass(frozen=True)
class CsvTable:
    """The rows of a CSV by one of its columns."""

    columns: tuple[str, ...]  # but that one
    rows: Mapping[str, dict[str, str]]
    line: Mapping[str, int]  # where in the file each row ends


def read_table(data: bytes, what: str, key: str, others: Sequence[str] = ()) -> CsvTable:
    """Read a CSV (separated by comma, semicolon or tab) in which `key` and `others` are columns.

    Raises:
      InputError: no CSV in UTF-8, another header, or rows of too few fields or twice of one key.
    """
    try:
        text = data.decode("utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        columns = tuple(reader.fieldnames or ())
        # The reader's line: an empty one, or one within quotes, makes no row.
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{what}: not a readable CSV in UTF-8: {error}") from error
    if len(set(columns)) < len(columns) or not {key, *others} <= set(columns):
        found = ", ".join(map(repr, columns)) or "nothing"
        wanted = ", ".join((key, *others))
        raise InputError(f"{what}: expected a header with {wanted}, each once; found {found}")
    table: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    problems = []
    for line, row in rows:
        if None in row or None in row.values():
            problems.append(f"line {line} has not {len(columns)} fields")
        elif (name := row.pop(key).replace("\\", "/")) in table:
            problems.append(f"line {line}: {name} is duplicated")
        else:
            table[name], lines[name] = row, line
    if problems:
        raise InputError(f"{what}: " + "; ".join(problems[:_SHOWN]))
    return CsvTable(tuple(column for column in columns if column != key), table, lines)


def files_of(names: Iterable[str], files: Iterable[str]) -> dict[str, list[str]]:
    """Of each name in a table the files that it may mean: one, if all is well.

    A name is a file's path, or else its last part, or that without its suffix; in any Unicode form.
    The last number of a UID is no suffix: it would be another UID that is left.
    """
    places: list[dict[str, list[str]]] = [{}, {}, {}]
    for file in files:
        path = PurePosixPath(unicodedata.normalize("NFC", file))
        stem = path.name if path.suffix[1:].isdigit() else path.stem
        for by, spelt in zip(places, (str(path), path.name, stem), strict=True):
            by.setdefault(spelt, []).append(file)
    return {name: next(filter(None, (by.get(_plain(name)) for by in places)), []) for name in names}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).removeprefix("./")
