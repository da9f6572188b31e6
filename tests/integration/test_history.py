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


class Storm(history.Calm):
    """No majority was up; the agent was stopped; the client was kept waiting for a second."""

    def clean(self, agent, begin, end):
        return False

    def alive(self, agent, begin, end):
        return False


class Busy(history.Calm):
    def slack(self, agent, begin, end, to_nodes=False):
        return 1.0


def chaos(op, sent, received, **more):
    return {**globals()["op"](op, "a", sent, received, **{k: more.pop(k) for k in ("token", "expires_in", "status", "arg_token", "elected")
                                                          if k in more}), "agent": 0, **more}


UNEXTENDED = [
    chaos("campaign", 0.0, 0.1, token=10, expires_in=900),
    chaos("extend", 0.3, 0.4, status="unavailable", arg_token=10, known_until=0.9, elected=False),
]
SILENT = [chaos("campaign", 0.0, None, status=None, elected=False, gone="silent", gave_up=9.0)]


@pytest.mark.parametrize("words, broken", [
    ("could not extend", UNEXTENDED),
    ("had no answer", SILENT),
    ("had been ended", [chaos("campaign", 0.0, 0.1, token=10, expires_in=900), chaos("resign", 0.2, 0.3, arg_token=10),
                        chaos("campaign", 0.4, 0.5, token=10, expires_in=900)]),
    ("had given up", [chaos("campaign", 0.0, 0.1, token=10, expires_in=900, past=10)]),
    ("and read", [chaos("campaign", 0.0, 0.1, token=10, expires_in=900), chaos("get", 0.2, 0.3, token=9)]),
    ("two leaders", [chaos("campaign", 0.0, 0.1, token=10, expires_in=900, until=1.5),
                     {**chaos("campaign", 1.2, 1.3, token=11, expires_in=900), "candidate": "b"}]),
])
def test_what_only_a_client_in_chaos_notices_is_named(words, broken):
    found = history.judge(broken)
    assert any(words in line for line in found), found


def test_faults_excuse_what_they_explain():
    assert history.judge(UNEXTENDED, weather=Storm()) == []
    assert history.judge(SILENT, weather=Storm()) == []
    late = [chaos("campaign", 0.0, 4.0, token=10, expires_in=900)]
    assert history.judge(late) != [] and history.judge(late, weather=Busy()) == []
    assert history.judge([chaos("campaign", 0.0, 5.0, token=10, expires_in=900)], weather=Busy()) != []


def test_who_gives_up_soon_or_has_little_validity_left_blames_nobody():
    [won, extend] = UNEXTENDED
    silent = {**extend, "received": None, "status": None, "gone": "silent"}
    assert history.judge([won, {**silent, "gave_up": 0.35}]) == []
    assert history.judge([won, {**silent, "gave_up": 0.8}]) != []
    assert history.judge([won, {**extend, "known_until": 0.5}]) == []


def test_an_extend_that_asks_for_less_than_it_is_kept_waiting_blames_nobody():
    [won, extend] = UNEXTENDED
    long = {**extend, "known_until": 5.0, "received": 0.85}
    assert history.judge([won, {**long, "term": 500}]) != []
    assert history.judge([won, {**long, "term": 200}]) == []

    class Sticky(history.Calm):
        """Nothing waits until 0.6; from then on everything does."""

        def slack(self, agent, begin, end, to_nodes=False):
            return max(0.0, end - 0.6)
    assert history.judge([won, {**long, "term": 450}], weather=Sticky()) == []
    assert history.judge([won, {**long, "term": 2000}], weather=Sticky()) != []
