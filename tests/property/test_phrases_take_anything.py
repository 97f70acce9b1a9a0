"""Whatever is written, a phrase is understood, and then again from its canonical form, or refused
with an error of the product whose suggestions are understood.
"""

import time

from hypothesis import example, given
from hypothesis import strategies as st

from taskqueue_ray.core.errors import AmbiguousPhrase, InvalidOption, PhraseNotUnderstood
from taskqueue_ray.core.phrases.vocabulary import KNOWN, ROUND_ABOUT, TWOFOLD
from taskqueue_ray.core.recurrence import Every, Once, explain, next_after, understand

NOW = 1795539601.25
BITS = [
    *("2", "5", "15", "0", "1.5", "9:00", "17:30", "23:59:59", ":15", "1st", "31st", "22nd"),
    *("2027-01-31", "2027-13-45", "2027-01-31T10:00", "01/02/2027", "31.12.2027", "2027", "am"),
    *("pm", "a.m.", "o'clock", ",", "-", "&", "+", "*", "*/5", "L", "5#2", "mon-fri", "9-17"),
]
WORDS = st.sampled_from([*sorted({*KNOWN, *ROUND_ABOUT, *TWOFOLD}), *BITS])
SENTENCES = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)
LIKELY = st.tuples(
    st.sampled_from(["", "every", "on the", "on", "in", "every other", "next", "twice a day"]),
    st.sampled_from(
        ["5 minutes", "hour", "Monday", "weekday", "day", "month", "1st", "last day", "2 weeks"]
        + ["31st or the last day", "first Friday", "25 December", "2 months", "1st of January", ""]
    ),
    st.sampled_from(
        ["", "of every month", "on Monday and Friday", "of the month", "in June, July"]
    ),
    st.sampled_from(["", "at 9", "at 9:00 and 17:30", "at :15", "between 9 and 17:45", "at noon"]),
    st.sampled_from(
        ["", "on weekdays", "from 2027-01-31", "in March", "on the 15th", "every year"]
    ),
).map(" ".join)
CRON = st.lists(st.text("0123456789*/,-L#?adefimnorstu", max_size=6), min_size=4, max_size=7)


def _see(text: str) -> None:
    try:
        found = understand(text, tz="America/New_York", now=NOW)
    except (PhraseNotUnderstood, AmbiguousPhrase) as error:
        assert error.fields["suggestions"]
        for suggestion in error.fields["suggestions"]:
            understand(suggestion, tz="America/New_York", now=NOW)
        return
    except InvalidOption:  # an interval that is too short or too long
        return
    assert understand(found.canonical, tz="America/New_York", now=NOW) == found
    if isinstance(found.rule, Every | Once):
        assert next_after(found.rule, "America/New_York", 0.0) is not None
    else:
        explained = explain(text, tz="America/New_York", after=NOW, n=3)
        times = [due.at for due in explained.next]
        assert len(times) == 3
        assert sorted({*times, NOW}) == [NOW, *times]


@given(st.text(max_size=60))
@example("٣ * * * *")
@example("every ٥ minutes")
@example("every 5 minutes")
@example("İ" * 40)
@example("\0")
def test_any_text(text: str) -> None:
    _see(text)


@given(SENTENCES)
def test_any_words_of_the_grammar(text: str) -> None:
    _see(text)


@given(LIKELY)
def test_clauses_in_any_company(text: str) -> None:
    _see(text)


@given(CRON.map(" ".join))
def test_whatever_looks_like_cron(text: str) -> None:
    _see(text)


@given(st.sampled_from(["every ", "9:00 and ", "* ", "1,", "mon ", "x", "日本", "every 5 minuts "]))
def test_long_texts_are_refused_at_once(part: str) -> None:
    text = part * (10_000 // len(part))
    started = time.perf_counter()
    try:
        understand(text, tz="UTC", now=NOW)
    except (PhraseNotUnderstood, AmbiguousPhrase) as error:
        assert len(str(error)) < 1000  # noqa: PT017 - it need not be refused
    # A twentieth of a second, with room for a machine that is busy.
    assert time.perf_counter() - started < 0.5
