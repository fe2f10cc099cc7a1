"""The one exception that a user of fracjax is meant to read."""


class InputError(ValueError):
    """Bad input from a user.

    The message says what was found, what was expected and what to type instead. Scripts print it
    as it is, without a traceback, and exit with code 2.
    """
