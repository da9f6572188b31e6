"""The judge: decides over everything that all clients saw whether the promises of elections were kept.

A history is a list of operations, each a dict written by the client that did it (clients.py), times in seconds of CLOCK_BOOTTIME:

    client, op (campaign, extend, resign, handover, get), election, candidate, sent, received (None: no answer),
    status (ok, held, not_found, unavailable, error), elected, token, expires_in (ms), arg_token, past

The rules are those of the promises; `judge` returns a list of violations in words, empty when all were kept.
"""
import collections
import json
import pathlib


def load(paths):
    """Histories of several clients; the last line of a killed client may be cut."""
    operations = []
    for path in paths:
        for line in pathlib.Path(path).read_text().splitlines():
            try:
                operations.append(json.loads(line))
            except ValueError:
                continue
    return sorted(operations, key=lambda o: o["sent"])


class Belief:
    """A stretch of time in which a client rightly takes itself for the leader: from the answer until its own reckoning ends."""

    def __init__(self, candidate, token, begin, end, first_sent):
        self.candidate, self.token, self.begin, self.end, self.first_sent = candidate, token, begin, end, first_sent

    def __repr__(self):
        return f"{self.candidate} token {self.token} believes {self.begin:.4f}..{self.end:.4f}"


def grants(operation):
    """Whether the operation told its client that it (or, by handover, its heir) leads."""
    return operation["received"] is not None and operation["status"] == "ok" and (
        operation["op"] in ("extend", "handover") or operation["op"] == "campaign" and operation["elected"])


def beliefs(operations):
    """Per token, the belief its holders had. A resignation or a handover ends the belief of who asks when it is sent."""
    held = {}
    given_up = {}
    for o in operations:
        if o["op"] in ("resign", "handover") and o.get("arg_token"):
            given_up[o["arg_token"]] = min(o["sent"], given_up.get(o["arg_token"], o["sent"]))
    for o in operations:
        if not grants(o) or not o["token"]:
            continue
        end = o["sent"] + o["expires_in"] / 1000
        belief = held.get(o["token"])
        if belief is None:
            held[o["token"]] = Belief(o["candidate"], o["token"], o["received"], end, o["sent"])
        else:
            belief.begin = min(belief.begin, o["received"])
            belief.first_sent = min(belief.first_sent, o["sent"])
            belief.end = max(belief.end, end)
    for token, when in given_up.items():
        if token in held:
            held[token].end = min(held[token].end, when)
    return held


def one_leader(operations):
    """Promise 1: no two tenures of an election are believed in at the same moment."""
    found = []
    by_time = sorted(beliefs(operations).values(), key=lambda b: b.begin)
    last = None
    for belief in by_time:
        if last is not None and belief.begin < last.end and belief.begin < belief.end:
            found.append(f"two leaders: {last} and {belief}")
        if last is None or belief.end > last.end:
            last = belief
    return found


def tokens(operations):
    """Promise 2: a tenure granted later has a greater token; one token belongs to one candidate."""
    found = []
    owner = {}
    for o in operations:
        if grants(o) and o["token"]:
            if owner.setdefault(o["token"], o["candidate"]) != o["candidate"]:
                found.append(f"token {o['token']} was given to {owner[o['token']]} and to {o['candidate']}")
    first = {}
    for o in operations:
        if grants(o) and o["token"]:
            sent, received = first.get(o["token"], (float("inf"), float("inf")))
            first[o["token"]] = (min(sent, o["sent"]), min(received, o["received"]))
    # Every tenure known before another one was asked for has the smaller token: sweep by time of answer.
    known = sorted((received, token) for token, (_, received) in first.items())
    asked = sorted((sent, token) for token, (sent, _) in first.items())
    highest, i = 0, 0
    for sent, token in asked:
        while i < len(known) and known[i][0] < sent:
            highest = max(highest, known[i][1])
            i += 1
        if token < highest:
            found.append(f"token {token} was asked for after {highest} had been answered")
    return found


def kept(operations):
    """Promise 4: who extends in time, by its own reckoning, keeps its tenure."""
    found = []
    until = {}
    over = {o["arg_token"] for o in operations if o["op"] in ("resign", "handover") and o.get("arg_token")}
    for o in sorted((o for o in operations if o["received"] is not None), key=lambda o: o["received"]):
        if o["op"] == "extend" and o["status"] in ("held", "not_found"):
            token = o.get("arg_token")
            if token in until and token not in over and o["received"] < until[token]:
                found.append(f"{o['candidate']} lost token {token} {until[token] - o['received']:.4f} s before its validity ended")
        if grants(o) and o["token"]:
            until[o["token"]] = max(until.get(o["token"], 0), o["sent"] + o["expires_in"] / 1000)
    return found


def in_time(operations, bound):
    """Promise 6: every answer comes within the bound (seconds); promise 3: no grant without validity."""
    found = []
    for o in operations:
        if o["received"] is not None and o["received"] - o["sent"] > bound:
            found.append(f"{o['op']} took {o['received'] - o['sent']:.3f} s")
        if grants(o) and o["op"] == "campaign" and o["expires_in"] <= 0:
            found.append(f"{o['candidate']} was elected with no validity left")
    return found


def judge(operations, bound=3.5):
    elections = collections.defaultdict(list)
    for o in operations:
        elections[o["election"]].append(o)
    found = in_time(operations, bound)
    for name, of_one in elections.items():
        for rule in (one_leader, tokens, kept):
            found += [f"{name}: {violation}" for violation in rule(of_one)]
    return found
