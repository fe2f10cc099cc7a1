"""`python -m fracjax.cli.in_turn JSON`: commands one after the other, until one fails.

They are those of `fracjax`, a list of words each, and share a process: what the first has imported
and compiled the others need not. The process ends with the one that started it.
"""

import json
import signal
import sys

from fracjax.cli.main import main
from fracjax.cli.process import set_up
from fracjax.runtime.jobs import end_with_parent, say_step


def run(commands: list[list[str]]) -> int:
    """Exit code of the first that fails, else 0."""
    for words in commands:
        say_step(" ".join(["fracjax", *words]))
        if code := main(words):
            return code
    return 0


if __name__ == "__main__":
    # Who starts all this with a script's "&" ignores the interrupt by which jobs are asked to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent()
    set_up()
    sys.exit(run(json.loads(sys.argv[1])))
