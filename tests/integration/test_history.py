"""The judge of histories finds what it must find: for each rule a history that keeps it and one that breaks it."""
import pytest

from harness import history


def op(op, candidate, sent, received, token=0, expires_in=0, elected=True, status="ok", arg_token=None, election="e"):
    return {"client": 1, "op": op, "election": election, "candidate": candidate, "sent": sent, "received": received, "status": status,
            "elected": elected, "leader": candidate, "token": token, "expires_in": expires_in, "arg_token": arg_token}


GOOD = [
    op("campaign", "a", 0.0, 0.1, 10, 900),
    op("campaign", "b", 0.2, 0.3, 0, 0, elected=False),
    op("extend", "a", 0.5, 0.6, 10, 900, arg_token=10),
    op("campaign", "b", 1.5, 1.6, 11, 900),
    op("resign", "b", 1.7, 1.8, arg_token=11),
    op("campaign", "a", 1.75, 1.85, 12, 900),
]


def test_a_history_that_keeps_every_promise_is_accepted():
    assert history.judge(GOOD) == []


@pytest.mark.parametrize("words, broken", [
    ("two leaders", [op("campaign", "a", 0.0, 0.1, 10, 900), op("campaign", "b", 0.5, 0.6, 11, 900)]),
    ("two leaders", [op("campaign", "a", 0.0, 0.1, 10, 900), op("campaign", "b", 1.0, 1.1, 11, 900), op("extend", "a", 0.85, 0.9, 10, 900)]),
    ("was given to", [op("campaign", "a", 0.0, 0.1, 10, 900), op("campaign", "b", 2.0, 2.1, 10, 900)]),
    ("was asked for after", [op("campaign", "a", 0.0, 0.1, 10, 900), op("campaign", "b", 2.0, 2.1, 9, 900)]),
    ("before its validity ended", [op("campaign", "a", 0.0, 0.1, 10, 900),
                                   op("extend", "a", 0.3, 0.4, status="not_found", arg_token=10, elected=False)]),
    ("took", [op("campaign", "a", 0.0, 9.0, 10, 20000)]),
    ("no validity left", [op("campaign", "a", 0.0, 0.1, 10, 0)]),
])
def test_a_history_that_breaks_a_promise_is_named(words, broken):
    found = history.judge(broken)
    assert any(words in line for line in found), found


def test_a_resignation_ends_the_belief_of_the_one_who_resigns():
    assert history.judge([
        op("campaign", "a", 0.0, 0.1, 10, 900),
        op("resign", "a", 0.2, None, arg_token=10, status=None),
        op("campaign", "b", 0.25, 0.3, 11, 900),
    ]) == []


def test_elections_do_not_disturb_each_other():
    assert history.judge([op("campaign", "a", 0.0, 0.1, 10, 900), op("campaign", "b", 0.0, 0.1, 11, 900, election="f")]) == []
