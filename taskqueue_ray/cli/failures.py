"""What a command's end means: exit codes, and errors as one line."""

import os
import sys
import traceback
from collections.abc import Callable

import typer

from taskqueue_ray.cli.render import complain
from taskqueue_ray.core.errors import (
    AmbiguousPhrase,
    InvalidArguments,
    InvalidOption,
    InvalidRequest,
    InvalidSetting,
    JobNotFound,
    PhraseNotUnderstood,
    TaskQueueError,
    UnknownJobType,
)

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_verbose = False


def be_verbose(wanted: bool) -> None:
    """Show tracebacks of errors, and the whole log."""
    global _verbose
    _verbose = _verbose or wanted


def is_verbose() -> bool:
    """Whether all is to be shown."""
    return _verbose


def exit_code_of(run: Callable[[], object]) -> int:
    """Run a command; its exit code. Nothing that it raises comes through."""
    try:
        run()
    except SystemExit as end:  # typer's: it has said why
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except TaskQueueError as error:
        _tell(error, str(error))
        return USAGE if _is_usage(error) else FAILED
    except OSError as error:
        _tell(error, str(error))
        return FAILED
    except Exception as error:
        _tell(error, f"unexpected {type(error).__name__}: {error}")
        return FAILED
    return DONE


_MISUSE = (
    AmbiguousPhrase, InvalidArguments, InvalidOption, InvalidSetting, PhraseNotUnderstood,
    UnknownJobType,
)  # fmt: skip


def fail(sentence: str) -> typer.Exit:
    """To be raised by a command that could not do what it was asked, and says so here."""
    complain(sentence)
    return typer.Exit(FAILED)


def _is_usage(error: TaskQueueError) -> bool:
    if isinstance(error, JobNotFound):
        return False
    return isinstance(error, _MISUSE) or type(error) is InvalidRequest


def _tell(error: Exception, sentence: str) -> None:
    if _verbose:
        traceback.print_exception(error)
    hint = "" if _verbose or isinstance(error, TaskQueueError) else " (--verbose shows where)"
    complain(" ".join(sentence.split()) + hint)
