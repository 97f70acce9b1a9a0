"""What may be a name: of a queue, a job type, a tag."""

import re

from taskqueue_ray.core.errors import InvalidOption

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
MAX_TYPE_NAME = 200
MAX_TAGS = 16
MAX_LABEL = 64
MAX_TITLE = 200


def check_name(option: str, value: object) -> str:
    """A name of a queue, pool or limit, or `InvalidOption`."""
    if type(value) is str and _NAME.fullmatch(value):
        return value
    raise _refused(
        option, value, "a name of 1 to 63 characters out of a-z 0-9 . _ - that begins with a-z 0-9"
    )


def check_type_name(option: str, value: object) -> str:
    """The registered name of a job type: a dotted Python path, or a plain name."""
    if type(value) is str and len(value) <= MAX_TYPE_NAME and _is_type_name(value):
        return value
    raise _refused(option, value, "a dotted path such as 'reports.build', or a plain name")


def check_label(option: str, value: object) -> str:
    """A tag or category: short printable text of the user's own."""
    if type(value) is str and 0 < len(value) <= MAX_LABEL and value.isprintable():
        return value
    raise _refused(option, value, f"1 to {MAX_LABEL} printable characters")


def check_title(option: str, value: object) -> str:
    """The name of one job, for people: longer than a label, and as printable."""
    if type(value) is str and 0 < len(value) <= MAX_TITLE and value.isprintable():
        return value
    raise _refused(option, value, f"1 to {MAX_TITLE} printable characters")


def check_tags(option: str, value: object) -> tuple[str, ...]:
    """Tags without repeats, in the order given."""
    if isinstance(value, str | bytes) or not isinstance(value, list | tuple | set | frozenset):
        raise _refused(option, value, "a list of tags")
    # Sets have no order; sorted, the same tags always give the same options.
    given = sorted(value, key=str) if isinstance(value, set | frozenset) else value
    tags = tuple(dict.fromkeys(check_label(option, tag) for tag in given))
    if len(tags) > MAX_TAGS:
        raise _refused(option, f"{len(tags)} tags", f"at most {MAX_TAGS} tags")
    return tags


def exception_name(kind: type[BaseException]) -> str:
    """The name of an exception's type, with its module unless it is built in.

    >>> exception_name(ValueError)
    'ValueError'
    """
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return module + kind.__qualname__


def _is_type_name(text: str) -> bool:
    return bool(_TYPE.fullmatch(text) or _NAME.fullmatch(text))


def _refused(option: str, value: object, accepts: str) -> InvalidOption:
    shown = ascii(value)
    return InvalidOption(option, shown if len(shown) <= 80 else shown[:77] + "...", accepts)
