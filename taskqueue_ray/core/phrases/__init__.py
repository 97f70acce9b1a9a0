"""When something recurs, said in English.

::

    vocabulary   the words
    tokens       a text as tokens, and a reader of them
    draft        what the clauses said so far
    times        the grammar of times of the day
    dates        the grammar of dates
    days         the grammar of days of the week and of the month
    frequency    the grammar of how often
    clauses      the grammar of the whole: clauses in any order
    asked        a phrase, its draft and the present
    questions    what a draft leaves open
    intervals    from a draft to an interval
    moments      from a draft to one moment
    assembly     from a draft to a rule
    suggestions  the nearest phrases that are understood
    reading      from a text to a rule, or to an error that helps
"""
