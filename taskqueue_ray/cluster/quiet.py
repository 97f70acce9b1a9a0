"""A driver in which Ray prints nothing: for programs whose output is theirs alone."""

import ray._private.worker as driver


def hush() -> None:
    """Keep Ray's log lines and reports of dead processes from stdout. They stay in its files.

    The death of an actor that was killed on purpose is printed even without `log_to_driver`, and
    Ray has no public switch for that.
    """
    driver._worker_logs_enabled = False
