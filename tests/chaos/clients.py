#!/usr/bin/python3
"""Many candidates in one process, as stupid as real ones, half of them over gRPC and half over HTTP/1.1.

They have no patience and ask the other agent, crash in the middle of a request and come back under their name or a new one, freeze for
longer than their term, and count their validity from their own sending. What they write down, one JSON object a line, is described in
harness/history.py; besides, `{"stall": [begin, end]}` is time in which this process should have run and did not.

    clients.py --out FILE --agents GRPC:HTTP,GRPC:HTTP --seed N --clients N --elections N --timeout SECONDS

They stop when standard input ends.
"""
import argparse
import asyncio
import json
import pathlib
import random
import sys
import time

import grpc
import grpc.aio

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import proto  # noqa: E402

pb, stubs = proto.load()

TERMS_MS = (300, 500, 1000, 2000)
TICK_S = 0.01
STALL_S = 0.005

GRPC_STATUS = {
    grpc.StatusCode.ALREADY_EXISTS: "held",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.FAILED_PRECONDITION: "unavailable",
    grpc.StatusCode.UNAVAILABLE: "broken",  # by the channel: the agent never answers so
    grpc.StatusCode.CANCELLED: "broken",
    grpc.StatusCode.DEADLINE_EXCEEDED: "silent",
}
HTTP_STATUS = {200: "ok", 409: "held", 404: "not_found", 412: "unavailable"}


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Answer:
    """`status` is one of ok, held, not_found, unavailable, error; or, without an answer: broken (connection), silent (patience is over)."""

    def __init__(self, status, elected=False, leader="", token=0, expires_in=0, words=""):
        self.status, self.elected, self.leader, self.token, self.expires_in = status, elected, leader, token, expires_in
        self.words = words

    @property
    def answered(self):
        return self.status not in ("broken", "silent")


class OverGrpc:
    def __init__(self, port):
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[
            ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.use_local_subchannel_pool", 1)])
        self.stub = stubs.ElectionStub(self.channel)

    async def call(self, method, request, patience):
        try:
            return "ok", await method(request, timeout=patience), ""
        except grpc.aio.AioRpcError as error:
            return GRPC_STATUS.get(error.code(), "error"), None, error.details()

    async def campaign(self, patience, election, candidate, term, past):
        status, got, words = await self.call(self.stub.Campaign, pb.CampaignRequest(
            election=election, candidate=candidate, term=term, past=past), patience)
        return Answer(status, words=words) if got is None else Answer(status, got.elected, got.leader, got.token, got.expires_in)

    async def extend(self, patience, election, candidate, term, token):
        status, got, words = await self.call(self.stub.ExtendElectedTerm, pb.ExtendElectedTermRequest(
            election=election, leader=candidate, term=term, token=token), patience)
        return Answer(status, words=words) if got is None else Answer(status, got.value, candidate, got.token, got.expires_in)

    async def resign(self, patience, election, candidate, token):
        status, _, words = await self.call(self.stub.Resign, pb.ResignRequest(
            election=election, leader=candidate, token=token), patience)
        return Answer(status, words=words)

    async def handover(self, patience, election, heir, term, holder, token):
        status, got, words = await self.call(self.stub.Handover, pb.HandoverRequest(
            **{"election": election, "leader": heir, "term": term, "from": holder, "token": token}), patience)
        return Answer(status, words=words) if got is None else Answer(status, got.value, heir, got.token, got.expires_in)

    async def get(self, patience, election):
        status, got, words = await self.call(self.stub.GetLeader, pb.GetLeaderRequest(election=election), patience)
        return Answer(status, words=words) if got is None else Answer(status, False, got.value, got.token, got.expires_in)

    async def close(self):
        await self.channel.close(None)  # cancels what is under way


class OverHttp:
    """HTTP/1.1 with keep-alive, only what our own agent answers."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def exchange(self, method, election, body):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        data = json.dumps(body).encode() if body else b""
        self.writer.write(f"{method} /election/{election} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]), json.loads(await self.reader.readexactly(length) or b"{}")

    async def call(self, patience, method, election, body=None):
        try:
            status, got = await asyncio.wait_for(self.exchange(method, election, body), patience)
            return HTTP_STATUS.get(status, "error"), got
        except asyncio.TimeoutError:
            self.abort()
            return "silent", {}
        except (OSError, asyncio.IncompleteReadError):
            self.abort()
            return "broken", {}

    @staticmethod
    def answer(status, got, leader=None):
        return Answer(status, got.get("elected", status == "ok"), leader or got.get("leader", ""), int(got.get("token", 0)),
                      got.get("expires_in", 0), got.get("message", ""))

    async def campaign(self, patience, election, candidate, term, past):
        return self.answer(*await self.call(patience, "POST", election, {"candidate": candidate, "term": term, "past": str(past)}))

    async def extend(self, patience, election, candidate, term, token):
        body = {"leader": candidate, "term": term, **({"token": str(token)} if token else {})}
        return self.answer(*await self.call(patience, "PATCH", election, body), candidate)

    async def resign(self, patience, election, candidate, token):
        return self.answer(*await self.call(patience, "DELETE", election, {"leader": candidate, "token": str(token)}))

    async def handover(self, patience, election, heir, term, holder, token):
        return self.answer(*await self.call(patience, "PUT", election, {
            "leader": heir, "term": term, "from": holder, "token": str(token)}), heir)

    async def get(self, patience, election):
        return self.answer(*await self.call(patience, "GET", election))

    def abort(self):
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def close(self):
        self.abort()


class Candidate:
    """One client. Its name changes when it comes back from a crash as another."""

    def __init__(self, number, crowd):
        self.number, self.crowd, self.options = number, crowd, crowd.options
        self.chance = random.Random(f"{self.options.seed}-{number}")
        self.election = f"e{number % self.options.elections}"
        self.names_token = self.chance.random() < 0.7  # the others extend whichever tenure they have
        self.generation = 0
        self.wires = []
        self.be_born()

    def be_born(self):
        """Knows nothing, except that it was given a name."""
        self.name = f"c{self.number}-{self.generation}"
        self.forget()

    def forget(self):
        self.token, self.until, self.past, self.quiet_until, self.term = 0, 0.0, 0, 0.0, 0
        self.giving_up = False  # a resignation or handover is under way, or was never answered
        wire = OverGrpc if self.number % 2 else OverHttp
        self.wires = [wire(agent[0] if wire is OverGrpc else agent[1]) for agent in self.options.agents]
        self.agent = self.chance.randrange(len(self.wires))

    async def live(self):
        while True:
            life = asyncio.ensure_future(self.turns())
            crash = self.chance.expovariate(1 / self.options.lifetime)
            await asyncio.wait([life, self.crowd.over], timeout=crash, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            while not life.done():  # wait_for of Python 3.11 can swallow a cancellation
                life.cancel()
                await asyncio.wait([life], timeout=0.05)
            for wire in self.wires:
                await wire.close()
            if self.crowd.over.done():
                return
            # What a dead process has asked to end may end later: under the same name that would be two processes with one name.
            if self.giving_up or self.chance.random() < 0.5:
                self.generation += 1
                self.be_born()
            else:
                self.forget()
            await asyncio.sleep(self.chance.uniform(0, 1))

    async def turns(self):
        while True:
            if self.token and now() >= self.until:
                self.token = 0
            dice = self.chance.random()
            if self.chance.random() < 0.01:
                await asyncio.sleep(self.chance.uniform(0.1, 2.5))  # it hangs, and goes on as if nothing had happened
            elif self.token:
                await (self.resign() if dice < 0.06 else self.handover() if dice < 0.1 else self.extend())
            elif dice < 0.1 or now() < self.quiet_until:
                await self.ask("get", None)
                await asyncio.sleep(self.chance.uniform(0.02, 0.3))
            else:
                await self.campaign()

    def patience(self):
        return self.options.timeout + 1.5 if self.chance.random() < 0.7 else self.chance.uniform(0.02, 0.4)

    async def ask(self, op, candidate, *words, patience=None, **more):
        """One operation, written down with its end, also when this client does not live to see it."""
        patience = patience or self.patience()
        agent, wire = self.agent, self.wires[self.agent]
        arguments = [self.election] + ([candidate] if candidate else []) + list(words)
        answer, sent = Answer("dead"), now()
        try:
            answer = await getattr(wire, op)(patience, *arguments)
        finally:
            received = now()
            answered = answer.status not in ("dead", "silent", "broken")
            note = {"client": self.number, "agent": agent, "op": op, "election": self.election, "candidate": candidate or "", "sent": sent,
                    "received": received if answered else None, "status": answer.status if answered else None,
                    "elected": answer.elected, "leader": answer.leader, "token": answer.token, "expires_in": answer.expires_in, **more}
            if answered:
                note["until"] = self.reckon(sent, received, answer, more.get("term", 0))
            else:
                note["gone"], note["gave_up"] = answer.status, received
            if answer.words:
                note["words"] = answer.words
            self.crowd.write(note)
        if answer.status != "ok":
            self.agent = (agent + 1) % len(self.wires)
        if answer.status == "broken":
            await asyncio.sleep(self.chance.uniform(0.005, 0.05))
        return note

    @staticmethod
    def reckon(sent, received, answer, term_ms):
        """The end of validity, as far as the promise goes: the term counted from the own sending, less the drift allowance; or what the
        answer says, counted from its arrival, if that is sooner. Never sooner than what the answer says, counted from sending."""
        promised = min(sent + (term_ms * 0.99 - 2) / 1000, received + answer.expires_in / 1000)
        return max(sent + answer.expires_in / 1000, promised)

    async def campaign(self):
        term = self.chance.choice(TERMS_MS)
        note = await self.ask("campaign", self.name, term, self.past, term=term, past=self.past)
        if note["status"] == "ok" and note["elected"] and note["until"] > now():
            self.token, self.until, self.term = note["token"], note["until"], term
        else:
            await asyncio.sleep(self.chance.uniform(0.02, 0.5))

    async def extend(self):
        await asyncio.sleep(max(0.0, min(self.term / 3000 * self.chance.uniform(0.3, 1.1), (self.until - now()) * 0.8)))
        left = self.until - now()
        if left <= 0:
            return
        term = self.term if self.chance.random() < 0.8 else self.chance.choice(TERMS_MS)
        patience = self.patience() if self.chance.random() < 0.3 else max(left / 2, 0.01)
        token = self.token
        note = await self.ask("extend", self.name, term, token if self.names_token else 0, patience=patience,
                              term=term, arg_token=token, known_until=self.until)
        if note["status"] == "ok":
            self.token, self.until, self.term = note["token"], max(self.until, note["until"]), term
        elif note["status"] in ("held", "not_found"):
            self.token = 0

    def give_up(self):
        """An answer may be lost: the old validity is waited for before standing again, and the token is never led again."""
        self.past, self.quiet_until, self.token = max(self.past, self.token), self.until, 0
        self.giving_up = True

    def gave_up(self, note):
        self.giving_up = note["status"] not in ("ok", "not_found", "held")

    async def resign(self):
        token = self.token
        self.give_up()
        self.gave_up(await self.ask("resign", self.name, token, arg_token=token))

    async def handover(self):
        heirs = [c.name for c in self.crowd.candidates if c.election == self.election and c is not self]
        token, term = self.token, self.chance.choice(TERMS_MS)
        self.give_up()
        self.gave_up(await self.ask("handover", self.chance.choice(heirs), term, self.name, token, term=term, arg_token=token))


class Crowd:
    def __init__(self, options, out):
        self.options, self.out = options, out
        self.over = asyncio.get_running_loop().create_future()
        self.candidates = []
        self.candidates = [Candidate(number, self) for number in range(options.clients)]

    def write(self, line):
        self.out.write(json.dumps(line) + "\n")

    async def watch_the_clock(self):
        while not self.over.done():
            before = now()
            await asyncio.sleep(TICK_S)
            after = now()
            if after - before - TICK_S > STALL_S:
                self.write({"stall": [before, after]})
            self.out.flush()

    async def run(self):
        orders = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        lives = [asyncio.ensure_future(c.live()) for c in self.candidates]
        lives.append(asyncio.ensure_future(self.watch_the_clock()))
        end = asyncio.ensure_future(orders.read())
        await asyncio.wait([end, *lives], return_when=asyncio.FIRST_COMPLETED)  # a life ends early only by an error
        self.over.set_result(None)
        await asyncio.gather(*lives)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--agents", required=True, type=lambda text: [tuple(map(int, a.split(":"))) for a in text.split(",")])
    for name, value in (("seed", 1), ("clients", 50), ("elections", 5), ("timeout", 1.0), ("lifetime", 20.0)):
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    with open(options.out, "w", buffering=1 << 16) as out:
        await Crowd(options, out).run()


if __name__ == "__main__":
    asyncio.run(main())
