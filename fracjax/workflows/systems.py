"""The systems that `fracjax reproduce` knows: those of the packaged configs, and of a user's own.

A system is a config by its name, or the several of one file, whose probabilities are averaged.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fracjax.config import Config, io
from fracjax.datasets.request import DRAWN
from fracjax.errors import InputError

CORE = (
    "stage1",
    "stage1_paper",
    "stage1_localise",
    "stage2_inception",
    "stage2_inception_paper",
    "stage2_cnn",
    "stage2_cnn_paper",
    "stage2_mobilenet",
)
"""Those that are meant to fit nine minutes of one H100 from a bare start."""

SETS: dict[str, Callable[[str], bool]] = {
    "all": lambda name: not name.endswith("_cpu"),
    "core": lambda name: name in CORE,
    "paper": lambda name: name.endswith("_paper"),
    "cpu": lambda name: name.endswith("_cpu"),
}
"""Sets of systems by their names, but for those on phantoms, which are named one by one."""


@dataclass(frozen=True)
class System:
    """A network with its training and evaluation, or several networks that answer as one."""

    name: str
    sources: tuple[str, ...]  # of its configs, as --config takes them
    configs: tuple[Config, ...]
    asked: bool = True  # for by its user, and not only needed by another

    @property
    def folder(self) -> Path:
        """What stands for it wherever a run is asked for: its workdir, or a folder beside several.

        The latter is made when they are evaluated together on validation.
        """
        first = self.configs[0].workdir
        return first if len(self.configs) == 1 else first.with_name(self.name)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.configs[0].data.classes

    @property
    def is_detector(self) -> bool:
        """Whether it is of stage 1."""
        return len(self.classes) == 2

    @property
    def detector(self) -> Path | None:
        """The folder of the detector that it is trained and used behind."""
        return self.configs[0].data.filter

    @property
    def started_from(self) -> set[Path]:
        """What its weights are taken from: files, or folders of runs."""
        return {one.model.weights for one in self.configs if one.model.weights is not None}

    def results(self, part: str) -> Path:
        """Where its evaluation on a part is written."""
        return self.folder / "evaluation" / part


def choose_systems(names: Sequence[str]) -> list[System]:
    """The systems of these names, sets and config files, each after those that it needs.

    What it needs: the detector in its `data.filter`, the run in its `model.weights`.

    Raises:
      InputError: names that are none, all of them, with the nearest one; or a config that is none.
    """
    known = _packaged()
    chosen: dict[str, System] = {}
    problems = [] if names else ["none is named"]
    for name in dict.fromkeys(names):
        if name in SETS:
            own = (system for system in known.values() if SETS[name](system.name))
            published = (one for one in own if one.configs[0].data.name not in DRAWN)
            chosen |= {system.name: system for system in published}
        elif name in known:
            chosen[name] = known[name]
        elif Path(name).is_file():
            stem = Path(name).stem
            if stem in chosen:
                problems.append(f"{name} has the name {stem} of another system; rename the file")
            chosen[stem] = _system(stem, name)
        else:
            near = difflib.get_close_matches(name, [*SETS, *known], 1)
            problems.append(
                f"no system {name!r}" + (f"; perhaps you meant {near[0]}" if near else "")
            )
    if problems:
        sets, systems = ", ".join(SETS), ", ".join(known)
        raise InputError(
            f"{'; '.join(problems)}; there are the sets {sets}, the systems {systems}, and config "
            "files of your own"
        )
    return _with_needed(chosen.values(), [*chosen.values(), *known.values()])


def needed_by(system: System, among: Iterable[System]) -> list[System]:
    """The systems whose runs it is trained behind, or starts from."""
    places = {*system.started_from, *filter(None, [system.detector])}
    return [other for other in among if other.folder in places and other.name != system.name]


def _packaged() -> dict[str, System]:
    return {name: _system(name, name) for name in io.packaged()}


def _system(name: str, config: str) -> System:
    sources = tuple(io.each(config))
    return System(name, sources, tuple(map(io.load, sources)))


def _with_needed(wanted: Iterable[System], known: Sequence[System]) -> list[System]:
    ordered: dict[str, System] = {}

    def add(system: System, *, asked: bool) -> None:
        for other in needed_by(system, known):
            add(other, asked=False)
        asked = asked or (system.name in ordered and ordered[system.name].asked)
        ordered[system.name] = replace(system, asked=asked)

    for system in wanted:
        add(system, asked=True)
    return list(ordered.values())
