"""What lies at the destination already: nothing of it is replaced unless that was asked for."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracjax.datasets.columns import some
from fracjax.datasets.common_depth import how_read
from fracjax.datasets.make_split import open_to
from fracjax.datasets.prepared import MANIFEST, SPLITS, STUDIES, TAKEN, ManifestRow, undeclared_bits
from fracjax.datasets.request import Request
from fracjax.errors import DAMAGE, InputError
from fracjax.runtime.csv_table import from_cell


@dataclass(frozen=True)
class Earlier:
    """An earlier preparation, as far as a new one has to do with it."""

    directory: Path
    classes: tuple[str, ...]
    group_by: str
    label: Mapping[str, str]  # study -> its class
    sha256: Mapping[str, str]  # study -> digest of its file
    part: Mapping[str, str]  # study -> its part of the split
    seed: int
    fractions: tuple[float, ...]
    depth: int | None
    read_as: str  # how files that declare no depth are read; empty if there are none, or not known


def read_earlier(directory: Path) -> Earlier | None:
    """What a preparation, of this version or of one before, left there; None if there is none.

    Raises:
      InputError: something is there that cannot be read.
    """
    if not directory.exists():
        return None
    try:
        content = json.loads((directory / STUDIES).read_text("utf-8"))
        split = json.loads((directory / SPLITS).read_text("utf-8"))
        with (directory / MANIFEST).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == TAKEN]
        return Earlier(
            directory,
            tuple(content["classes"]),
            content.get("group_by", ""),
            {from_cell(row["study"] or ""): from_cell(row["label"] or "") for row in rows},
            {from_cell(row["study"] or ""): row["sha256"] or "" for row in rows},
            {study: entry["part"] for study, entry in split["studies"].items()},
            split["seed"],
            tuple(split["fractions"]),
            content.get("depth"),
            _read_as(content, rows),
        )
    except DAMAGE as error:
        raise InputError(
            f"{directory} holds a dataset that is damaged ({error!r}), so that the parts of its "
            "studies cannot be kept; move it away, and prepare again"
        ) from error


def _read_as(content: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> str:
    if "depth" not in content:  # of a version before there was one
        return ""
    needed = [int(row["undeclared_bits"]) for row in rows]
    return how_read(content["depth"], [bits for bits in needed if bits])


def kept_parts(
    earlier: Earlier | None,
    request: Request,
    classes: Sequence[str],
    rows: Sequence[ManifestRow],
    given: Mapping[str, str],
    depth: int | None,
) -> dict[str, str]:
    """Study -> the part it had and keeps: of all that are there again, unless `--new-split`.

    `given` are parts that the source gives now, `depth` that of files that declare none.

    Raises:
      InputError: something there would be replaced, and `--replace` was not written.
    """
    if earlier is None:
        return {}
    problems = [
        *_changes(earlier, request, classes, rows, given),
        *_other_depth(earlier, rows, depth),
    ]
    if problems and not request.replace:
        raise InputError(
            f"{earlier.directory} is prepared already, and this would replace some of it: "
            f"{'; '.join(problems)}. Write --replace to have it so; the studies that stay keep "
            "their parts, unless you write --new-split, too. Or choose another "
            + ("--save-as" if request.name in ("folder", "table") else "--data-dir")
        )
    if request.new_split:
        return {}
    now = {row.study for row in rows if row.status == TAKEN}
    kept = {study: part for study, part in earlier.part.items() if study in now}
    may_be = open_to(given)
    return {name: part for name, part in kept.items() if part in may_be[given.get(name, "")]}


def _other_depth(earlier: Earlier, rows: Sequence[ManifestRow], depth: int | None) -> Iterator[str]:
    """Whether files that declare no depth would be read otherwise, which changes their greys."""
    now = how_read(depth, undeclared_bits(rows))
    if earlier.read_as and now != earlier.read_as:
        keep = f" (--depth {earlier.depth} keeps that)" if earlier.depth else ""
        yield (
            f"files without a declared depth are read {now or 'each by itself'}, and were "
            f"{earlier.read_as}{keep}"
        )


def _changes(
    earlier: Earlier,
    request: Request,
    classes: Sequence[str],
    rows: Sequence[ManifestRow],
    given: Mapping[str, str],
) -> Iterator[str]:
    now = {row.study: row for row in rows if row.status == TAKEN}
    why = {row.study: row.reason for row in rows if row.status != TAKEN}
    gone = [
        f"{study} ({why[study]})" if study in why else study
        for study in sorted(earlier.label.keys() - now.keys())
    ]
    both = sorted(earlier.label.keys() & now.keys())
    labels = [
        f"{study} ({now[study].label}, was {earlier.label[study]})"
        for study in both
        if now[study].label != earlier.label[study]
    ]
    may_be = open_to(given)
    files = [study for study in both if now[study].sha256 != earlier.sha256[study]]
    parts = [
        f"{study} ({given.get(study)}, was {earlier.part.get(study)})"
        for study in both
        if earlier.part.get(study) not in may_be[given.get(study, "")]
    ]
    for names, one, many in (
        (gone, "study would go", "studies would go"),
        (labels, "study has another label", "studies have another label"),
        (files, "study has another file", "studies have another file"),
        (parts, "study has another part", "studies have another part"),
    ):
        if names:
            yield f"{len(names)} {one if len(names) == 1 else many}: {some(names)}"
    if tuple(classes) != earlier.classes:
        yield f"the classes are {', '.join(classes)}, and were {', '.join(earlier.classes)}"
    asked, before = request.group_by or "", earlier.group_by
    if asked != before:
        yield f"--group-by is {asked or 'left out'}, and was {before or 'left out'}"
    if request.new_split:
        yield "--new-split gives studies other parts"
    if request.seed != earlier.seed:
        yield f"--seed is {request.seed}, and was {earlier.seed}"
    if request.fractions != earlier.fractions:
        texts = (" ".join(map(str, of)) for of in (request.fractions, earlier.fractions))
        yield "--fractions are {}, and were {}".format(*texts)
