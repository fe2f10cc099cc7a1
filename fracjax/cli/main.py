"""`fracjax COMMAND ...`: finds the command, runs it, answers with an exit code.

Commands are imported when they are called, so that help and a misspelt command come at once.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fracjax import __version__
from fracjax.config.class_names import hide_dashes

COMMANDS = {
    "prepare": ("data", "audit a dataset's images; write records, a manifest and a split"),
    "show": ("data", "draw what picture files became, or a dataset's studies, augmented"),
    "show-phantoms": ("data", "draw a sheet of phantoms, one of each kind"),
    "convert": ("data", "convert a Keras file of ImageNet weights"),
    "train": ("train", "train a run, or continue one that was cut short"),
    "two-stages": ("train", "train and evaluate detector, classifier and cascade, one by one"),
    "reproduce": ("reproduce", "every system of the paper, several at once, and their page"),
    "ablate": ("reproduce", "compare changes of a recipe, one at a time, out of fold"),
    "evaluate": ("apply", "evaluate a run on validation, test or another dataset, with a report"),
    "compare": ("apply", "compare two evaluated runs on one split"),
    "cascade": ("apply", "evaluate both stages together"),
    "explain": ("apply", "draw where the network looked, and score it against boxes"),
    "predict": ("apply", "predict images: is there a fracture, and of which type?"),
    "export": ("export", "export trained stages as one file that runs without fracjax"),
    "pack": ("export", "pack a detector into one small file, in place of its workdir"),
}
"""Each command, its file here, and its line in `fracjax --help`."""
_IN_A_RUN = ("config.json", "checkpoints", "ensemble.json")  # one of them is in every workdir


def main(argv: Sequence[str], prog: str | None = None) -> int:
    """Run one command in this process: `argv` is what follows `fracjax` on a command line.

    `prog` is what the command's help page calls it, by default `fracjax COMMAND`.

    Returns:
      The exit code: 0; 1 if `predict` could not read a file; 2 for a bad input, whose message is
      printed; 130 when interrupted.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else 2
    name, *words = argv
    if name == "--version":
        print(f"fracjax {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        guess = f"; perhaps you meant {near[0]}" if near else ""
        there = ", ".join(COMMANDS)
        print(f"error: no command {name!r}{guess}; there are {there}", file=sys.stderr)
        return 2
    from fracjax.cli.process import exit_code

    return exit_code(lambda: _run(name, words, prog or f"fracjax {name}"))


def run(name: str | None = None) -> NoReturn:
    """Run the command of this process's command line, then exit: that of a script, or its first."""
    words, prog = (sys.argv[1:], None) if name is None else ([name, *sys.argv[1:]], sys.argv[0])
    if words[:1] and words[0] in COMMANDS:  # a help page needs neither
        from fracjax.cli.process import set_up

        set_up()
    sys.exit(main(words, prog and Path(prog).name))


def _run(name: str, words: Sequence[str], prog: str) -> int | None:
    module = importlib.import_module(f"fracjax.cli.{COMMANDS[name][0]}")
    command = getattr(module, name.replace("-", "_"))
    if name == "train":  # parses its words itself: the fields of a config depend on its file
        return command(words, prog)
    import tyro

    if name == "predict":
        words = one_flag_each(words, "--stage1", "--stage2")
    if name in ("prepare", "evaluate"):
        words = hide_dashes(words, "--classes", "--positive")
    return tyro.cli(command, args=words, prog=prog)


def one_flag_each(words: Sequence[str], *flags: str) -> list[str]:
    """`--stage1 A B PATHS` as `--stage1 A --stage1 B PATHS`: where paths follow the runs of a flag.

    What follows the first of them is another run if it is a folder as training, or evaluation of
    several runs, makes one, or has the name of a packed run.
    """
    made, flag = [], ""
    for before, word in zip(["", *words], words, strict=False):
        if before in flags:
            flag = before
        elif Path(word).suffix != ".npz" and not any((Path(word) / n).exists() for n in _IN_A_RUN):
            flag = ""
        elif flag:
            made.append(flag)
        made.append(word)
    return made


def _help() -> str:
    commands = "\n".join(f"  {name:<14}{summary}" for name, (_, summary) in COMMANDS.items())
    return f"""usage: fracjax COMMAND ...

Two-stage bone fracture detection and classification in radiographs.
Research code, not a medical device.

{commands}

fracjax COMMAND --help lists a command's flags."""
