"""Errors of a run, as against errors of its input."""


class RunFailed(RuntimeError):
    """The training cannot go on; tools print the message and leave with exit code 1."""
