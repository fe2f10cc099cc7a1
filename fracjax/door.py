"""How a script answers its user: a bad input is one message and exit code 2, not a traceback."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fracjax.errors import UserError


@contextmanager
def door() -> Iterator[None]:
    """Run a script's body; a `UserError` or `OSError` ends it with its message and code 2."""
    # Orbax warns of files that it does not need, and of saves that overlap.
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
