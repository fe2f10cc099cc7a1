"""Tables of files, read whole or refused by line, and the files that their rows mean."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from fracjax.errors import InputError

T = TypeVar("T")

_SHOWN = 20
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # what Python reads a byte as that is none


# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = re.compile("'*[=+@\t\r\n-]")


def as_cell(value: T) -> T | str:
    """A value to be written into a CSV: a text that a spreadsheet would run with a ' before it.

    So has one that begins with ' and would be such a text without it: `from_cell` is the way back.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(text: str) -> str:
    """The text that `as_cell` made a cell of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


@dataclass(frozen=True)
class CsvTable:
    """The rows of a CSV by one of its columns."""

    columns: tuple[str, ...]  # but that one
    rows: Mapping[str, dict[str, str]]
    line: Mapping[str, int]  # where in the file each row ends


def read_table(
    data: bytes, what: str, key: str, others: Sequence[str] = (), *, ours: bool = False
) -> CsvTable:
    """Read a CSV (separated by comma, semicolon or tab) in which `key` and `others` are columns.

    Cells of one that is `ours` were made by `as_cell`. Keys may be names of files that are no
    UTF-8; as Python's own they have surrogates then.

    Raises:
      InputError: no CSV in UTF-8, another header, or rows of too few fields or twice of one key.
    """
    text = data.decode("utf-8-sig", "surrogateescape")
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = tuple(reader.fieldnames or ())
        # The reader's line: an empty one, or one within quotes, makes no row.
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{what}: not a readable CSV: {error}") from error
    if len(set(columns)) < len(columns) or not {key, *others} <= set(columns):
        found = ", ".join(map(repr, columns)) or "nothing"
        wanted = ", ".join((key, *others))
        raise InputError(
            f"{what}: expected a header with {wanted}, each once, in UTF-8; found {found}"
        )
    table: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    problems = []
    for line, row in rows:
        if None in row or None in row.values():
            problems.append(f"line {line} has not {len(columns)} fields")
            continue
        row = {column: from_cell(text) for column, text in row.items()} if ours else row
        name = row.pop(key)
        if strange := [column for column, value in row.items() if _NO_UTF8.search(value)]:
            problems.append(f"line {line}: {', '.join(strange)} is no UTF-8; save the CSV as UTF-8")
        elif name in table:
            problems.append(f"line {line}: {name} is duplicated")
        else:
            table[name], lines[name] = row, line
    if problems:
        raise InputError(f"{what}: " + "; ".join(problems[:_SHOWN]))
    return CsvTable(tuple(column for column in columns if column != key), table, lines)


def files_of(names: Iterable[str], files: Iterable[str]) -> dict[str, list[str]]:
    r"""Of each name in a table the files that it may mean: one, if all is well.

    A name is a file's path, or else its last parts, or these without the suffix; in any Unicode
    form, as Windows or Linux writes paths, and with bytes that are no UTF-8 as they are or escaped
    (`\xe9`). The last number of a UID is no suffix: it would be another UID that is left.
    """
    places: list[dict[str, list[str]]] = [{}, {}, {}]
    for file in files:
        path = _plain(file)
        bare = path if path.suffix[1:].isdigit() else path.parent / path.stem
        ends = [["/".join(it.parts[i:]) for i in range(len(it.parts))] for it in (path, bare)]
        for by, paths in zip(places, ([str(path)], *ends), strict=True):
            for name in paths:
                by.setdefault(name, []).append(file)
    spelt = {name: str(_plain(name)) for name in names}
    return {
        name: next(filter(None, (by.get(path) for by in places)), [])
        for name, path in spelt.items()
    }


def names_of(places: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The other way round: of each file the names of the table that may mean it."""
    names: dict[str, list[str]] = {}
    for name, files in places.items():
        for file in files:
            names.setdefault(file, []).append(name)
    return names


def _plain(name: str) -> PurePosixPath:
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return PurePosixPath(unicodedata.normalize("NFC", text.strip().replace("\\", "/")))
