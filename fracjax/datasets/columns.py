"""What a column of a source may mean: which studies belong together, and which part they are of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fracjax.datasets.request import Request
from fracjax.datasets.sources.archive import Contents, Study
from fracjax.errors import InputError

# What people call them, lower case.
_PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_RESERVED = "group"  # in every table of predictions it is what the studies were grouped to
_SHOWN = 5


def part_named(name: str) -> str:
    """The part of a split that goes by this name, such as `val`; "" if it is none."""
    return _PARTS.get(name.strip().casefold(), "")


def with_columns(contents: Contents, request: Request) -> Contents:
    """The same studies, linked by `--group-by`, and with their part by `--split-by`.

    Raises:
      InputError: no such column, a value that names no part, a part given twice, a reserved name.
    """
    # Files that are not taken may have none.
    columns = list(next((s.attributes for s in contents.studies if s.attributes), {}))
    there = f"the columns are {', '.join(columns) or '(none)'}"
    problems = []
    if _RESERVED in columns:
        problems.append(
            f"a column may not be called {_RESERVED!r}, as the groups of near duplicates are: "
            "rename it, to patient for example, and write --group-by patient if its images belong "
            "together"
        )
    for flag, column in (("group-by", request.group_by), ("split-by", request.split_by)):
        if column is not None and column not in columns:
            problems.append(f"--{flag} {column}: there is no such column; {there}")
    if request.split_by is not None and any(study.part for study in contents.studies):
        problems.append(
            f"--split-by {request.split_by}: the folders on top are parts already; leave it out"
        )
    if problems:
        raise InputError("; ".join(problems))

    def read(study: Study) -> Study:
        if request.group_by is not None and (value := _value(study, request.group_by)):
            study = replace(study, links=(*study.links, f"{request.group_by} = {value}"))
        if request.split_by is not None:
            study = replace(study, part=part_named(_value(study, request.split_by)))
        return replace(study, part="") if request.new_split else study

    return replace(contents, studies=list(map(read, contents.studies)))


def check_values(request: Request, taken: Iterable[Study]) -> None:
    """Refuse studies without the value that a flag asks for, all of them at once."""
    studies, problems = list(taken), []
    if (column := request.group_by) is not None:
        missing = [study.path for study in studies if not _value(study, column)]
        if missing:
            problems.append(f"--group-by {column}: {_have(missing)} no value: {some(missing)}")
    if (column := request.split_by) is not None:
        wrong = [
            f"{study.path} ({_value(study, column) or 'no value'})"
            for study in studies
            if not study.part
        ]
        if wrong:
            what = f"no part, as train, val or test is: {some(wrong)}"
            problems.append(f"--split-by {column}: {_have(wrong)} {what}")
    if problems:
        raise InputError(f"{'; '.join(problems)}; complete the column, or leave these images out")


def given_parts(taken: Mapping[str, Study]) -> dict[str, str]:
    """Study -> its part, where the source gives every study one; else empty."""
    return {name: study.part for name, study in taken.items() if study.part}


def _value(study: Study, column: str) -> str:
    return str(study.attributes.get(column, "")).strip()


def _have(names: Sequence[str]) -> str:
    return "1 image has" if len(names) == 1 else f"{len(names)} images have"


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _SHOWN
    return between.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
