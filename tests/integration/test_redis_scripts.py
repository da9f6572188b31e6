"""Every branch of every script of the Redis store, on a real server, in both editions (before 7.0, from 7.0 on).

The rules are those of src/core/quorum/command.h. Times are the server's own: nothing here waits.
"""
import importlib.util
import pathlib

import pytest

from harness.redis import Server

REDIS = pathlib.Path(__file__).resolve().parents[2] / "src/store/redis"
MARKER = "run repl 0 0"
RECOVERING = "run repl 77 0"
BLANK = "run repl 77 1"
WEEK = 7 * 86400 * 1000


def load_scripts():
    spec = importlib.util.spec_from_file_location("embed", REDIS / "embed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.assemble(sorted((REDIS / "scripts").glob("*.lua")))


SCRIPTS = load_scripts()


def owner(clock, agent=1):
    return f"{clock:016d}.{agent:016x}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


class Node:
    """The scripts on one server, as the store calls them."""

    KEYS = ["p/info/node", "p/e", "p/tenure/default/e", "p/fence/default/e"]
    DISPLAY = ["p/meta/default/e", "p/candidates/default/e"]
    NOTICE = ["p/events", "default", "e", "1700000000000000", "5000", "3"]

    def __init__(self, client, edition):
        self.client = client
        self.edition = edition
        client.call("FLUSHALL")
        self.marker(MARKER)

    def marker(self, text):
        self.call("HSET", "p/info/node", "marker", text)

    def call(self, *words):
        return self.client.call(*words)

    def script(self, word, keys, *args):
        return self.call("EVAL", SCRIPTS[word][self.edition], len(keys), *keys, *args)

    def claims(self, *questions):
        """Each (election, who, token, by, expected token and owner, px)."""
        keys = [self.KEYS[0]]
        for keys_of in (self.KEYS[1:], self.DISPLAY):
            keys += [key.removesuffix("e") + election for election, *_ in questions for key in keys_of]
        words = [word for election, *words in questions for word in (*words, *self.NOTICE[:2], election, *self.NOTICE[3:])]
        return self.script("claim", keys, MARKER, *words)

    def claim(self, who, token, by, expect=(0, ""), px=5000):
        return self.claims(("e", who, token, by, *expect, px))[0]

    def looks(self, *questions):
        keys = ["p/info/node"] + self.KEYS[1:] * len(questions)
        return self.script("look", keys, MARKER, *[word for question in questions for word in question])

    def look(self, who, by, px=5000):
        return self.looks((who, by, px))[0]

    def repair(self, who, token, by, force=0, seen=("", ""), px=5000):
        return self.script("repair", self.KEYS, MARKER, who, token, by, force, *seen, px)

    def undo(self, who, *tried):
        return self.script("undo", self.KEYS, MARKER, who, *[word for claim in tried for word in claim])

    def resign(self, who, token=0, by="", force=0):
        return self.script("resign", self.KEYS + self.DISPLAY, MARKER, who, token, by, force, *self.NOTICE)

    def handover(self, to, token, by, holder="", expect=(0, ""), px=5000):
        return self.script("handover", self.KEYS + self.DISPLAY, MARKER, to, token, by, holder, *expect, px, *self.NOTICE)

    def restore(self, who, token, by):
        return self.script("restore", self.KEYS, MARKER, who, token, by)

    def restore_expiry(self, who, token, by, at):
        return self.script("restore_expiry", self.KEYS, MARKER, who, token, by, at)

    def read(self):
        return self.script("read", self.KEYS, MARKER)

    def node(self, *args):
        return self.script("node", ["p/info/node"], *args)

    # What stands there.

    def lease(self):
        return self.call("GET", "p/e")

    def tenure(self):
        return self.call("GET", "p/tenure/default/e")

    def fence(self):
        return self.call("GET", "p/fence/default/e")

    def expires(self):
        times = [self.call("PEXPIRETIME", key) for key in ("p/e", "p/tenure/default/e")]
        return times[0] if times[0] == times[1] else times

    def left(self):
        return self.call("PTTL", "p/e")

    def now(self):
        seconds, microseconds = self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def history(self):
        """The events that are kept, oldest first."""
        meta = self.call("HGETALL", "p/meta/default/e")
        meta = dict(zip(meta[::2], meta[1::2]))
        n = int(meta["n"])
        return [meta[f"e{i % 100}"].split("\t") for i in range(max(n - 100, 0), n)]

    def expire_in(self, ms):
        at = self.now() + ms
        for key in ("p/e", "p/tenure/default/e"):
            self.call("PEXPIREAT", key, at)

    def vanish(self, ago):
        """The lease has expired so many milliseconds ago, as far as the fence can tell."""
        self.call("PEXPIREAT", "p/fence/default/e", self.now() - ago + WEEK)
        self.call("DEL", "p/e", "p/tenure/default/e")

    def lead(self, who="A", token=100, by=owner(1), px=5000):
        self.call("SET", "p/e", who, "PX", 3000, "NX")
        assert self.claim(who, token, by, px=px) == ["ok"]
        return self

    def bare(self, who="A", px=3000):
        self.call("SET", "p/e", who, "PX", px)
        return self


@pytest.fixture(params=[0, 1], ids=["before-7.0", "7.0"])
def node(server, request):
    client = server.client()
    yield Node(client, request.param)
    client.close()


# --- claim ---

def test_a_claim_makes_a_bare_lease_a_tenure(node):
    node.bare()
    assert node.claim("A", 100, owner(1)) == ["ok"]
    assert (node.lease(), node.tenure(), node.fence()) == ("A", f"100 {owner(1)} A", "100")
    assert isinstance(node.expires(), int), "lease and tenure expire together"
    assert 4000 < node.left() <= 5000
    assert node.call("PEXPIRETIME", "p/fence/default/e") == node.expires() + WEEK, "a week after the lease's end"


def test_a_claim_needs_the_candidates_own_lease(node):
    assert node.claim("A", 100, owner(1)) == ["no"]
    node.bare("B")
    assert node.claim("A", 100, owner(1)) == ["no"]
    assert (node.lease(), node.tenure(), node.fence()) == ("B", None, None)


def test_a_claim_counts_on_exactly_the_expected_tenure(node):
    node.lead(token=100, by=owner(1))
    for expect in ((0, ""), (99, owner(1)), (100, owner(2))):
        assert node.claim("A", 101, owner(3), expect) == ["changed"]
    assert node.tenure() == f"100 {owner(1)} A"
    assert node.claim("A", 101, owner(3), (100, owner(1))) == ["ok"]
    node.call("DEL", "p/tenure/default/e")
    assert node.claim("A", 102, owner(3), (101, owner(3))) == ["changed"]


def test_a_token_is_accepted_once_and_only_upwards(node):
    node.bare()
    node.call("SET", "p/fence/default/e", 100)
    assert node.claim("A", 99, owner(1)) == ["low", "100"]
    assert node.claim("A", 100, owner(1)) == ["low", "100"]
    assert (node.tenure(), node.fence()) == (None, "100"), "nothing was written"
    assert node.claim("A", 101, owner(1)) == ["ok"]


def test_nothing_is_granted_up_to_the_floor(node):
    node.bare()
    node.call("HSET", "p/info/node", "floor", 500)
    assert node.claim("A", 500, owner(1)) == ["low", "500"]
    assert node.claim("A", 501, owner(1)) == ["ok"]


@pytest.mark.parametrize("marker", [RECOVERING, "other repl 0 0", None])
def test_an_amnesiac_node_takes_no_claim(node, marker):
    node.bare()
    node.marker(marker) if marker else node.call("DEL", "p/info/node")
    assert node.claim("A", 100, owner(1)) == ["amnesiac"]
    assert (node.tenure(), node.fence()) == (None, None)


def test_a_claim_does_not_shorten_the_lease(node):
    node.bare(px=60000)
    before = node.call("PEXPIRETIME", "p/e")
    assert node.claim("A", 100, owner(1), px=1000) == ["ok"]
    assert node.expires() == before


def test_many_elections_are_claimed_in_one_call(node, server):
    listener = server.client()
    listener.call("SUBSCRIBE", "p/events")
    for key in ("p/e", "p/f", "p/h"):
        node.call("SET", key, "A", "PX", 3000)
    node.call("SET", "p/fence/default/f", 300)
    nothing = (0, "", 5000)
    answers = node.claims(("e", "A", 100, owner(1), *nothing), ("f", "A", 200, owner(2), *nothing), ("g", "A", 300, owner(3), *nothing),
                          ("h", "A", 400, owner(4), 0, "", 9000), ("h", "A", 400, owner(4), *nothing), ("h", "A", 500, owner(5), 400, owner(4), 5000))
    assert answers == [["ok"], ["low", "300"], ["no"], ["ok"], ["changed"], ["ok"]]
    assert node.tenure() == f"100 {owner(1)} A"
    assert (node.call("GET", "p/tenure/default/f"), node.call("GET", "p/g")) == (None, None)
    assert (node.call("GET", "p/tenure/default/h"), node.call("GET", "p/fence/default/h")) == (f"500 {owner(5)} A", "500")
    assert node.call("PTTL", "p/h") > 8000, "claims of one lease in one call see each other"
    told = [listener.receive()[2].split("\t") for _ in range(3)]
    listener.close()
    assert [(line[0], line[1], line[4]) for line in told] == [("elected", "100", "e"), ("elected", "400", "h"), ("elected", "500", "h")]
    kept = node.call("HMGET", "p/meta/default/h", "n", "e0", "priority") + [node.call("HGET", "p/meta/default/e", "n")]
    assert kept[0] == "3" and kept[1].split("\t")[1:4] == ["elected", "400", "A"] and kept[2:] == ["3", "1"], "each in its own history"


@pytest.mark.parametrize("fence", ["abc", "9007199254740993", "1e400"])
def test_a_damaged_fence_lets_nothing_pass(node, fence):
    node.bare()
    node.call("SET", "p/fence/default/e", fence)
    assert node.claim("A", 9007199254740991, owner(1))[0] == "low"


# --- look ---

def test_a_look_extends_and_takes_ownership(node):
    node.lead(token=100, by=owner(1))
    node.call("PEXPIRE", "p/fence/default/e", 1000)
    before = node.expires()
    answer = node.look("A", owner(2), 9000)
    assert answer == ["ok", "100", owner(2), "100", str(before)]
    assert node.tenure() == f"100 {owner(2)} A"
    assert 8000 < node.left() <= 9000 and isinstance(node.expires(), int)
    assert node.call("PEXPIRETIME", "p/fence/default/e") == node.expires() + WEEK


def test_an_owner_is_never_replaced_by_a_smaller_one(node):
    node.lead(by=owner(20, 5))
    assert node.look("A", owner(3, 9))[2] == owner(20, 5)
    assert node.look("A", owner(20, 4))[2] == owner(20, 5)
    assert node.look("A", owner(20, 0xA))[2] == owner(20, 0xA)
    assert node.tenure() == f"100 {owner(20, 0xA)} A"


def test_looks_of_one_lease_in_one_call_see_each_other(node):
    node.lead(token=100, by=owner(1))
    answers = node.looks(("A", owner(20), 60000), ("A", owner(3), 5000), ("B", owner(30), 5000))
    assert [answer[0] for answer in answers] == ["ok", "ok", "other"]
    assert answers[1][2] == owner(20)
    assert node.tenure() == f"100 {owner(20)} A"
    assert node.left() > 50000


def test_a_look_with_a_shorter_term_keeps_the_expiry(node):
    node.lead(px=60000)
    before = node.expires()
    assert node.look("A", owner(1), 1000)[0] == "ok"
    assert node.expires() == before


def test_a_look_says_what_is_missing_bare_or_anothers(node):
    node.call("SET", "p/fence/default/e", 7)
    assert node.look("A", owner(1)) == ["missing", "7"]
    node.bare("B")
    assert node.look("A", owner(1)) == ["other", "B", "0"]
    assert node.look("B", owner(1)) == ["bare", "7"]
    assert node.claim("B", 100, owner(1)) == ["ok"]
    assert node.look("A", owner(1)) == ["other", "B", "100"]
    assert node.tenure() == f"100 {owner(1)} B"


def test_an_amnesiac_node_says_so_only_where_it_has_no_lease(node):
    node.lead()
    node.marker(RECOVERING)
    assert node.look("A", owner(1))[0] == "ok"
    assert node.look("B", owner(1))[0] == "other"
    node.call("DEL", "p/tenure/default/e")
    assert node.look("A", owner(1))[0] == "bare"
    node.call("DEL", "p/e")
    assert node.look("A", owner(1)) == ["amnesiac"]


@pytest.mark.parametrize("spoil", [
    ("SET", "p/e", "A", "PX", "9000"),  # another expiry: a foreign agent wrote the lease
    ("SET", "p/e", "B", "KEEPTTL"),
    ("SET", "p/tenure/default/e", f"100 {owner(1)} B", "KEEPTTL"),
    ("SET", "p/tenure/default/e", "100 nonsense A", "KEEPTTL"),
    ("SET", "p/tenure/default/e", f"9007199254740993 {owner(1)} A", "KEEPTTL"),
    ("PERSIST", "p/e"),
])
def test_a_tenure_counts_only_with_its_own_lease(node, spoil):
    node.lead()
    node.call(*spoil)
    assert node.look(node.lease(), owner(2))[0] == "bare"
    assert node.read()[2] == "0"


def test_many_leases_are_looked_at_in_one_call(node):
    node.lead()
    answers = node.looks(("A", owner(1), 5000), ("B", owner(1), 5000), ("A", owner(2), 5000))
    assert [a[0] for a in answers] == ["ok", "other", "ok"]
    assert node.tenure() == f"100 {owner(2)} A"


# --- repair ---

def test_a_repair_fills_a_gap(node):
    assert node.repair("A", 100, owner(1)) == ["ok"]
    assert (node.lease(), node.tenure(), node.fence()) == ("A", f"100 {owner(1)} A", "100")
    assert isinstance(node.expires(), int)


def test_a_repair_needs_a_fence_up_to_its_token(node):
    node.call("SET", "p/fence/default/e", 100)
    assert node.repair("A", 99, owner(1), force=1) == ["low", "100"]
    assert node.lease() is None
    assert node.repair("A", 100, owner(1)) == ["ok"]
    assert node.fence() == "100"


def test_a_repair_replaces_only_a_lower_tenure_and_only_by_force(node):
    node.lead("B", token=90)
    assert node.repair("A", 100, owner(2)) == ["other"]
    assert node.repair("A", 90, owner(2), force=1) == ["other"]
    assert node.lease() == "B"
    assert node.repair("A", 100, owner(2), force=1) == ["ok"]
    assert (node.lease(), node.tenure()) == ("A", f"100 {owner(2)} A")


def test_a_bare_lease_is_never_overwritten(node):
    for who in "AB":
        node.bare(who)
        assert node.repair("A", 100, owner(1), force=1) == ["other"]
        assert (node.lease(), node.tenure()) == (who, None)


def test_a_recovering_node_is_repaired_only_by_who_saw_its_marker(node):
    for marker in (RECOVERING, BLANK):
        node.call("DEL", *Node.KEYS)
        node.marker(marker)
        seen = (RECOVERING, BLANK)
        assert node.repair("A", 100, owner(1)) == ["amnesiac"]
        assert node.repair("A", 100, owner(1), force=1) == ["amnesiac"]
        assert node.repair("A", 100, owner(1), force=0, seen=seen) == ["amnesiac"]
        assert node.repair("A", 100, owner(1), force=1, seen=("run repl 78 0", "run repl 78 1")) == ["amnesiac"]
        assert node.lease() is None
        assert node.repair("A", 100, owner(1), force=1, seen=seen) == ["ok"]


# --- undo ---

def test_an_undo_takes_back_what_is_bare_or_was_tried(node):
    node.bare()
    assert node.undo("A") == ["ok"]
    assert node.lease() is None
    node.lead(token=100, by=owner(1))
    assert node.undo("A", (100, owner(2)), (99, owner(1))) == ["ok"]
    assert node.tenure() == f"100 {owner(1)} A", "another owner's, another token"
    assert node.undo("A", (99, owner(1)), (100, owner(1))) == ["ok"]
    assert (node.lease(), node.tenure(), node.fence()) == (None, None, "100")


def test_an_undo_never_touches_anothers_lease(node):
    node.lead("B", by=owner(1))
    assert node.undo("A", (100, owner(1))) == ["ok"]
    assert node.lease() == "B"
    assert node.undo("C") == ["ok"]
    assert node.lease() == "B"


# --- resign ---

def test_a_resignation_raises_the_fence_above_its_token(node):
    node.lead(token=100)
    assert node.resign("A", 100, owner(1)) == ["ok", "100"]
    assert (node.lease(), node.tenure(), node.fence()) == (None, None, "101")
    node.bare()
    assert node.claim("A", 101, owner(2)) == ["low", "101"]


def test_a_resignation_ends_only_the_tenure_it_names(node):
    node.lead(token=100, by=owner(5))
    assert node.resign("B") == ["no", "A", "100"]
    assert node.resign("A", 99) == ["no", "A", "100"]
    assert node.resign("A", 100, owner(4)) == ["no", "A", "100"]
    assert (node.lease(), node.fence()) == ("A", "100")
    assert node.resign("A", 100) == ["ok", "100"]


def test_a_resignation_without_names_ends_whatever_stands(node):
    node.lead(token=100)
    assert node.resign("A") == ["ok", "100"]
    node.bare()
    assert node.resign("A", 5) == ["no", "A", "0"]
    assert node.resign("A") == ["ok", "0"]
    assert node.lease() is None


def test_a_late_resignation_closes_its_token_only_if_another_node_confirmed_it(node):
    assert node.resign("A", force=1) == ["none"]
    assert node.resign("A", 100) == ["none"]
    assert node.fence() is None, "a token that a client made up moves no fence"
    assert node.resign("A", 100, force=1) == ["none"]
    assert node.fence() == "101"
    assert node.resign("A", 50, force=1) == ["none"]
    assert node.fence() == "101"


def test_a_late_resignation_closes_its_token_behind_anothers_bare_lease_but_not_behind_a_tenure(node):
    node.bare("B")
    assert node.resign("A", 100) == ["no", "B", "0"]
    assert node.fence() is None
    assert node.resign("A", 100, force=1) == ["no", "B", "0"]
    assert (node.fence(), node.lease()) == ("101", "B")
    node.call("DEL", "p/e")
    node.lead("C", 200)
    assert node.resign("A", 300, force=1) == ["no", "C", "200"]
    assert node.fence() == "200", "its leader may have a quorum, and needs its fence"


def test_an_amnesiac_node_lets_resign(node):
    node.lead()
    node.marker(RECOVERING)
    assert node.resign("A", 100) == ["ok", "100"]


# --- handover, restore ---

def test_a_handover_moves_the_election_and_remembers_what_was(node):
    node.lead("A", token=100, by=owner(1), px=60000)
    before = node.expires()
    assert node.handover("B", 200, owner(2), "A", (100, owner(1)), px=1000) == ["ok", "A", "100"]
    assert node.lease() == "B" and node.tenure().startswith(f"200 {owner(2)} B\n") and node.fence() == "200"
    assert node.expires() == before, "never shorter than what the old one had"
    assert node.look("B", owner(2))[:2] == ["ok", "200"]


@pytest.mark.parametrize("holder, expect", [("B", (0, "")), ("A", (99, "")), ("A", (100, owner(2))), ("", (99, ""))])
def test_a_handovers_conditions_must_hold(node, holder, expect):
    node.lead("A", token=100, by=owner(1))
    assert node.handover("C", 200, owner(3), holder, expect) == ["no", "A", "100"]
    node.call("DEL", "p/e")
    assert node.handover("C", 200, owner(3), holder, expect) == ["no", "", "0"]
    assert node.fence() == "100"


def test_a_handover_is_taken_from_a_tenure_and_not_from_a_bare_lease(node):
    """A loser's for a moment, or a foreign agent's: only an override takes it."""
    node.bare("A")
    assert node.handover("B", 200, owner(1), "A") == ["no", "A", "0"]
    assert (node.lease(), node.tenure(), node.fence()) == ("A", None, None)
    assert node.handover("B", 200, owner(1)) == ["ok", "A", "0"]


def test_a_handover_to_an_empty_election_and_a_low_one(node):
    assert node.handover("B", 200, owner(1)) == ["ok", "", "0"]
    assert node.handover("C", 200, owner(2)) == ["low", "200"]
    node.marker(RECOVERING)
    assert node.handover("C", 300, owner(2)) == ["amnesiac"]
    assert node.lease() == "B"


def test_a_restore_puts_back_what_a_handover_replaced(node):
    node.lead("A", token=100, by=owner(1), px=60000)
    tenure, expires = node.tenure(), node.expires()
    assert node.handover("B", 200, owner(2))[0] == "ok"
    assert node.restore("B", 201, owner(2)) == ["ok"]
    assert node.restore("B", 200, owner(3)) == ["ok"]
    assert node.restore("A", 200, owner(2)) == ["ok"]
    assert node.lease() == "B", "only its own handover"
    assert node.restore("B", 200, owner(2)) == ["ok"]
    assert (node.lease(), node.tenure(), node.expires(), node.fence()) == ("A", tenure, expires, "200")


def test_a_restore_of_nothing_of_a_bare_and_of_an_endless_lease(node):
    node.handover("B", 200, owner(2))
    node.restore("B", 200, owner(2))
    assert (node.lease(), node.tenure()) == (None, None)
    node.bare("x\ny", 60000)
    expires = node.call("PEXPIRETIME", "p/e")
    node.handover("B", 300, owner(2))
    node.restore("B", 300, owner(2))
    assert (node.lease(), node.tenure(), node.call("PEXPIRETIME", "p/e")) == ("x\ny", None, expires)
    node.call("SET", "p/e", "x")
    node.handover("B", 400, owner(2))
    node.restore("B", 400, owner(2))
    assert (node.lease(), node.call("PTTL", "p/e")) == ("x", -1)


def test_a_restore_after_the_old_expiry_leaves_nothing(node):
    node.lead("A", token=100, px=60000)
    node.handover("B", 200, owner(2), px=60000)
    head, _, rest = node.tenure().partition("\n")
    length = rest.split("\n")[0].split(" ")[1]
    past = f"{head}\n1000 {length}\n" + rest.split("\n", 1)[1]
    node.call("SET", "p/tenure/default/e", past, "KEEPTTL")
    assert node.restore("B", 200, owner(2)) == ["ok"]
    assert (node.lease(), node.tenure()) == (None, None)


def test_a_chain_of_handovers_does_not_grow_without_end(node):
    node.lead("A" * 200, token=100)
    for i in range(30):
        assert node.handover("B" * 250, 200 + i, owner(2))[0] == "ok"
    assert len(node.tenure()) < 4096


def test_an_expiry_is_put_back_only_where_the_tenure_still_is(node):
    node.lead("A", token=100, by=owner(1), px=5000)
    before = node.expires()
    assert node.look("A", owner(2), 60000)[0] == "ok"
    longer = node.expires()
    for who, token, by in (("B", 100, owner(2)), ("A", 101, owner(2)), ("A", 100, owner(1))):
        assert node.restore_expiry(who, token, by, before) == ["ok"]
        assert node.expires() == longer
    assert node.restore_expiry("A", 100, owner(2), before) == ["ok"]
    assert node.expires() == before
    assert node.restore_expiry("A", 100, owner(2), 1000) == ["ok"]
    assert (node.lease(), node.tenure()) == (None, None)


# --- set, read ---

def test_the_script_for_old_servers_does_what_set_nx_get_does(node):
    keys = ["p/e", "p/tenure/default/e", "p/fence/default/e"]
    node.call("SET", "p/fence/default/e", 9)
    assert node.script("set", keys, "A", 3000) == [None, "9", None]
    assert node.lease() == "A" and 2000 < node.left() <= 3000
    assert node.script("set", keys, "B", 9000) == ["A", "9", None]
    assert node.lease() == "A" and node.left() <= 3000


def test_an_exact_read_says_what_is_left(node):
    assert node.read() == ["none"]
    node.lead(px=5000)
    word, name, token, left = node.read()
    assert (word, name, token) == ("name", "A", "100") and 4000 < int(left) <= 5000
    node.call("SET", "p/e", "B")
    assert node.read() == ["name", "B", "0", "-1"]


# --- the node ---

def test_a_nodes_facts_are_read_with_its_clock(node):
    node.call("DEL", "p/info/node")
    answer = node.node("read")
    assert answer[:5] == ["ok", "", "0", "0", "0"]
    seconds, micros = node.call("TIME")
    assert abs(int(answer[5]) - (int(seconds) * 10**6 + int(micros))) < 10 * 10**6


def test_a_marker_is_written_only_over_the_one_it_was_told(node):
    node.call("DEL", "p/info/node")
    assert node.node("mark", MARKER, RECOVERING, 1, 2, 3)[:5] == ["changed", "", "0", "0", "0"]
    assert node.call("EXISTS", "p/info/node") == 0
    assert node.node("mark", "", BLANK, 0, 0, 0)[:2] == ["ok", BLANK]
    assert node.node("mark", "", RECOVERING, 0, 0, 0)[:2] == ["changed", BLANK]
    node.call("PEXPIRE", "p/info/node", 60000)
    assert node.node("mark", BLANK, MARKER, 10, 20, 30)[:5] == ["ok", MARKER, "10", "20", "30"]
    assert node.call("PTTL", "p/info/node") == -1
    assert node.node("mark", MARKER, MARKER, 5, 25, 0)[:5] == ["ok", MARKER, "10", "25", "30"], "only upwards"


def test_a_ceiling_is_raised_only_where_the_memory_is_whole(node):
    assert node.node("raise", MARKER, 100, 5000)[:5] == ["ok", MARKER, "0", "100", "5000"]
    assert node.node("raise", MARKER, 50, 9000)[3:5] == ["100", "9000"]
    node.marker(RECOVERING)
    assert node.node("raise", MARKER, 200, 0) == ["amnesiac"]
    assert node.call("HGET", "p/info/node", "ceiling") == "100"


def test_large_numbers_leave_as_digits(node):
    node.bare()
    token = 2**53 - 2
    assert node.claim("A", token, owner(2**53 - 1)) == ["ok"]
    assert node.fence() == str(token)
    assert node.look("A", owner(1))[1:4] == [str(token), owner(2**53 - 1), str(token)]


# --- notices ---

def test_changes_are_told_and_kept_for_display(node, server):
    listener = server.client()
    listener.call("SUBSCRIBE", "p/events")
    node.lead("A", token=100)
    assert node.handover("B", 200, owner(2))[0] == "ok"
    assert node.resign("B", 200)[0] == "ok"
    told = [listener.receive()[2].split("\t") for _ in range(3)]
    listener.close()
    assert told == [
        ["elected", "100", Node.NOTICE[3], "default", "e", "A", "", "5000"],
        ["handed_over", "200", Node.NOTICE[3], "default", "e", "B", "A", "5000"],
        ["resigned", "200", Node.NOTICE[3], "default", "e", "B", "", "5000"],
    ]
    assert [line[1] for line in node.history()] == ["elected", "handed_over", "resigned"]
    assert node.call("HMGET", "p/meta/default/e", "term", "priority", "elected_at") == ["5000", "1", Node.NOTICE[3]]
    assert node.call("PTTL", "p/meta/default/e") > WEEK - 10000


def test_who_led_is_a_candidate_from_when_it_was_last_seen(node):
    def candidates():
        members = node.call("ZRANGE", "p/candidates/default/e", 0, -1, "WITHSCORES")
        return {member: round((node.now() * 1000 - float(score)) / 1000000) for member, score in zip(members[::2], members[1::2])}

    node.lead("A", token=100, px=5000)
    assert candidates() == {}, "a leader is shown by its tenure"
    node.expire_in(2000)
    assert node.handover("B", 200, owner(2))[0] == "ok"
    assert candidates() == {"A\t3": 3}
    node.expire_in(4000)
    assert node.resign("B", 200)[0] == "ok"
    assert candidates() == {"A\t3": 3, "B\t1": 1}
    assert node.call("PTTL", "p/candidates/default/e") > 59000
    node.lead("A", token=300, px=5000)
    node.vanish(ago=7000)
    node.lead("C", token=400)
    assert candidates()["A\t3"] == 3, "an older time takes nobody back"
    node.call("DEL", "p/candidates/default/e")
    node.vanish(ago=7000)
    node.lead("D", token=500)
    assert candidates() == {"C\t3": 12}


def test_who_led_by_a_repair_is_no_candidate_here(node):
    """Its priority and its term are known to the nodes that took its claim."""
    assert node.repair("A", 100, owner(1)) == ["ok"]
    assert node.resign("A", 100) == ["ok", "100"]
    assert node.call("ZRANGE", "p/candidates/default/e", 0, -1) == []


def test_the_end_that_nobody_told_is_noted_by_the_next_grant(node):
    node.lead("A", token=100, px=5000)
    node.vanish(ago=7000)
    node.lead("B", token=200)
    node.vanish(ago=0)
    assert node.handover("C", 300, owner(2))[0] == "ok"
    first = int(Node.NOTICE[3])
    seen = [(line[1], line[2], line[3], line[4], round((first - int(line[0])) / 1000000)) for line in node.history()]
    assert seen == [
        ("elected", "100", "A", "", 0), ("expired", "100", "A", "", 7), ("elected", "200", "B", "A", 0),
        ("expired", "200", "B", "", 0), ("elected", "300", "C", "B", 0)]


def test_a_leader_that_has_given_up_its_tenure_resigned_from_it(node):
    node.lead("A", token=100, by=owner(1))
    assert node.claim("A", 200, owner(2), (100, owner(1))) == ["ok"]
    assert [line[1:4] for line in node.history()] == [
        ["elected", "100", "A"], ["resigned", "100", "A"], ["elected", "200", "A"]]


def test_a_new_leader_has_the_priority_with_which_it_stood(node):
    def priority():
        return node.call("HGET", "p/meta/default/e", "priority")

    node.lead("A", token=100)
    assert priority() == "3"
    now = node.now() * 1000
    for member, age in (("B\t-7", 2), ("B\t8", 5), ("C\t9", 61), ("BB\t4", 1)):
        node.call("ZADD", "p/candidates/default/e", now - age * 1000000, member)
    assert node.handover("B", 200, owner(2))[0] == "ok"
    assert priority() == "-7"
    assert node.handover("B", 300, owner(2))[0] == "ok"
    assert priority() == "-7", "its own"
    assert node.handover("C", 400, owner(2))[0] == "ok"
    assert priority() == "1", "forgotten"


def test_those_that_lost_are_remembered_for_a_minute_the_last_of_them(node):
    def stood(*members):
        keys = ["p/candidates/default/e"] * len(members)
        assert node.script("stood", keys, *members) == "ok"

    node.call("ZADD", "p/candidates/default/e", (node.now() - 61000) * 1000, "old\t1")
    stood("A\t1", "B\t-2")
    assert node.call("ZRANGE", "p/candidates/default/e", 0, -1) == ["A\t1", "B\t-2"]
    assert 59000 < node.call("PTTL", "p/candidates/default/e") <= 60000
    assert abs(float(node.call("ZSCORE", "p/candidates/default/e", "A\t1")) / 1000 - node.now()) < 5000
    stood(*[f"c{i}\t1" for i in range(200)])
    kept = node.call("ZRANGE", "p/candidates/default/e", 0, -1)
    assert len(kept) == 128 and "A\t1" not in kept
    node.call("SET", "p/candidates/default/f", "not a set")
    assert node.script("stood", ["p/candidates/default/f", "p/candidates/default/g"], "A\t1", "A\t1") == "ok"
    assert node.call("ZCARD", "p/candidates/default/g") == 1


def test_a_handover_of_what_nobody_holds_is_told_as_an_election(node, server):
    listener = server.client()
    listener.call("SUBSCRIBE", "p/events")
    node.handover("B", 200, owner(1))
    node.resign("B", 200)
    node.bare("A")
    node.handover("C", 300, owner(2))
    told = [listener.receive()[2].split("\t") for _ in range(3)]
    listener.close()
    assert [(line[0], line[1], line[5], line[6]) for line in told] == [
        ("elected", "200", "B", ""), ("resigned", "200", "B", ""), ("elected", "300", "C", "B")]


def test_what_is_only_for_display_never_fails_a_decision(node):
    node.call("SET", "p/meta/default/e", "not a hash")
    node.bare()
    assert node.claim("A", 100, owner(1)) == ["ok"]
    assert node.resign("A", 100) == ["ok", "100"]
    node.call("DEL", "p/meta/default/e")
    node.call("SET", "p/candidates/default/e", "not a set")
    node.bare()
    assert node.claim("A", 200, owner(1)) == ["ok"]
    assert node.resign("A", 200) == ["ok", "200"]
    for damage in (("n", "many"), ("n", "3"), ("e0", "nonsense"), ("term", "x"), ("priority", "\t")):
        node.call("DEL", "p/meta/default/e")
        node.call("HSET", "p/meta/default/e", *damage)
        node.bare()
        token = int(node.fence()) + 1
        assert node.claim("A", token, owner(1)) == ["ok"]
        assert node.resign("A", token) == ["ok", str(token)]


def test_the_last_hundred_events_are_kept(node):
    for i in range(60):
        node.lead("A" * 253, token=1000 + 2 * i)
        assert node.resign("A" * 253)[0] == "ok"
    assert node.call("HGET", "p/meta/default/e", "n") == "120"
    assert node.call("HLEN", "p/meta/default/e") == 104
    assert [line[2] for line in node.history()] == [str(1000 + 2 * (i // 2)) for i in range(20, 120)]
