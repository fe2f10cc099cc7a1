"""One use-case a file: from a workdir to the files that a user reads."""
