"""The judge: decides over everything that all clients saw whether the promises of elections were kept.

A history is a list of operations, each a dict written by the client that did it (clients.py), times in seconds of CLOCK_BOOTTIME:

    client, op (campaign, extend, resign, handover, get), election, candidate, sent, received (None: no answer),
    status (ok, held, not_found, unavailable, error), elected, token, expires_in (ms), arg_token, past

and, where the client knows more: agent (its number), until (the end of validity by the client's own reckoning), known_until (the same before
an extend), gone (why there is no answer: dead, broken, silent) and gave_up (when).

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


class Calm:
    """Weather in which nothing happens. tests/chaos has another one."""

    def clean(self, agent, begin, end):
        """Whether one and the same majority of nodes, all links to it, and this agent were free of faults all that time."""
        return True

    def alive(self, agent, begin, end):
        """Whether the agent was neither killed nor stopped."""
        return True

    def slack(self, agent, begin, end, to_nodes=False):
        """Seconds for which the agent or the client, and where asked the nodes too, were kept from running."""
        return 0.0


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


def until(operation):
    """The end of validity that an answer has given."""
    return operation.get("until", operation["sent"] + operation["expires_in"] / 1000)


def given_up(operations):
    """Tokens that their holders have resigned or handed over, and when that was first asked."""
    when = {}
    for o in operations:
        if o["op"] in ("resign", "handover") and o.get("arg_token"):
            when[o["arg_token"]] = min(o["sent"], when.get(o["arg_token"], o["sent"]))
    return when


def beliefs(operations):
    """Per token, the belief its holders had. A resignation or a handover ends the belief of who asks when it is sent."""
    held = {}
    for o in operations:
        if not grants(o) or not o["token"]:
            continue
        end = until(o)
        belief = held.get(o["token"])
        if belief is None:
            held[o["token"]] = Belief(o["candidate"], o["token"], o["received"], end, o["sent"])
        else:
            belief.begin = min(belief.begin, o["received"])
            belief.first_sent = min(belief.first_sent, o["sent"])
            belief.end = max(belief.end, end)
    for token, when in given_up(operations).items():
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
    # Every tenure known before another one was asked for has the smaller token, and is not read of any more: sweep by time of answer.
    known = sorted((received, token) for token, (_, received) in first.items())
    asked = [(sent, token, "granted") for token, (sent, _) in first.items()]
    asked += [(o["sent"], o["token"], "read") for o in operations if o["op"] == "get" and o["status"] == "ok" and o["token"]]
    highest, i = 0, 0
    for sent, token, word in sorted(asked):
        while i < len(known) and known[i][0] < sent:
            highest = max(highest, known[i][1])
            i += 1
        if token < highest:
            found.append(f"token {token} was asked for after {highest} had been answered, and {word}")
    return found


def past(operations):
    """A tenure that its leader has ended, and was told so, is never led again; and no client gets a token at or below its `past`."""
    found = []
    ended = {}
    for o in operations:
        if o["op"] in ("resign", "handover") and o["status"] == "ok" and o.get("arg_token"):
            ended[o["arg_token"]] = min(o["received"], ended.get(o["arg_token"], o["received"]))
    for o in operations:
        if not grants(o) or not o["token"]:
            continue
        if o["token"] <= (o.get("past") or 0):
            found.append(f"{o['candidate']} was elected with token {o['token']}, and had given up {o['past']}")
        if ended.get(o["token"], float("inf")) < o["sent"]:
            found.append(f"token {o['token']} had been ended, and {o['candidate']} leads with it again")
    return found


def kept(operations):
    """Promise 4: who extends in time, by its own reckoning, is never told that it has lost."""
    found = []
    valid = {}
    over = given_up(operations)
    for o in sorted((o for o in operations if o["received"] is not None), key=lambda o: o["received"]):
        if o["op"] == "extend" and o["status"] in ("held", "not_found"):
            token = o.get("arg_token")
            if token in valid and token not in over and o["received"] < valid[token]:
                found.append(f"{o['candidate']} lost token {token} {valid[token] - o['received']:.4f} s before its validity ended")
        if grants(o) and o["token"]:
            valid[o["token"]] = max(valid.get(o["token"], 0), until(o))
    return found


NEED_S = 0.25  # an extend with a majority up takes milliseconds


def extends_in_calm(operations, weather):
    """The extends that promise 4 binds, answered well or not: of a running tenure that nobody gives up, sent with time enough, while one and
    the same majority and the agent were free of faults since the grant."""
    over = given_up(operations)
    granted = {}
    for o in operations:
        if grants(o) and o["token"]:
            granted[o["token"]] = min(o["sent"], granted.get(o["token"], o["sent"]))
    for o in operations:
        token = o.get("arg_token")
        if o["op"] != "extend" or token not in granted or "known_until" not in o:
            continue
        left_when = o["received"] if o["received"] is not None else o["gave_up"]
        # What keeps it waiting counts until it is answered: one delay moves it into the next.
        end = o["sent"] + NEED_S + weather.slack(o["agent"], o["sent"], max(left_when, o["sent"] + NEED_S), to_nodes=True)
        # The term that it asks for may be shorter than what is left: it must be answered within both.
        time_enough = end <= min(o["known_until"], o["sent"] + o.get("term", float("inf")) / 1000)
        impatient = o["received"] is None and (o["gone"] == "dead" or o["gone"] == "silent" and left_when < end)
        if time_enough and not impatient and over.get(token, float("inf")) >= end and weather.clean(o["agent"], granted[token], end):
            yield o


def extended(operations, weather):
    """Promise 4: an extend of a running tenure succeeds, if from its grant on one majority and its agent had no fault."""
    return [f"{o['candidate']} could not extend token {o['arg_token']} at agent {o['agent']} ({o['status'] or o['gone']}), sent "
            f"{o['sent']:.3f}, {'answered' if o['received'] is not None else 'given up'} "
            f"{o['received'] if o['received'] is not None else o['gave_up']:.3f}, term {o.get('term', 0)} ms, valid until "
            f"{o['known_until']:.3f}, with a majority up since the grant: {o.get('words', '')}"
            for o in extends_in_calm(operations, weather) if o["status"] != "ok"]


ROUNDING_S = 0.05  # timers of whole milliseconds, two event loops and a socket between them


def in_time(operations, bound, weather):
    """Promise 6: every operation is answered within the bound (seconds) and what it was kept waiting by the machine; promise 3: no grant
    without validity."""
    found = []
    for o in operations:
        end = o["received"] if o["received"] is not None else o["gave_up"] if o.get("gone") == "silent" else None
        took = (end or 0) - o["sent"]
        if end is not None and took > bound:
            allowed = bound + ROUNDING_S + weather.slack(o.get("agent"), o["sent"], end)
            if took > allowed and weather.alive(o.get("agent"), o["sent"], end):
                word = "took" if o["received"] is not None else "had no answer for"
                found.append(f"{o['op']} of {o['candidate']}, sent {o['sent']:.3f}, {word} {took:.3f} s, allowed {allowed:.3f}")
        if grants(o) and o["op"] == "campaign" and o["expires_in"] <= 0:
            found.append(f"{o['candidate']} was elected with no validity left")
    return found


def judge(operations, bound=3.5, weather=None):
    weather = weather or Calm()
    elections = collections.defaultdict(list)
    for o in operations:
        elections[o["election"]].append(o)
    found = in_time(operations, bound, weather)
    for name, of_one in elections.items():
        for rule in (one_leader, tokens, past, kept, lambda of_one: extended(of_one, weather)):
            found += [f"{name}: {violation}" for violation in rule(of_one)]
    return found
