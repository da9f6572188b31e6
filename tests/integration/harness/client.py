#!/usr/bin/python3
"""A client process as stupid as real ones: a few candidates that campaign, extend, resign and hand over at random, and write down what
they saw, until the file STOP is there. Run as
`client.py --out FILE --until STOP --grpc PORT --http PORT --seed N --elections N --candidates N --term MS`.

It survives agents that die: it connects again and goes on, unanswered operations stay in the history as such.
"""
import argparse
import http.client
import json
import pathlib
import random
import sys
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import proto  # noqa: E402

pb, stubs = proto.load()

STATUS = {
    grpc.StatusCode.ALREADY_EXISTS: "held",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.FAILED_PRECONDITION: "unavailable",
}


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class OverGrpc:
    """Each call returns (status, elected, leader, token, expires_in); status None: no answer."""

    def __init__(self, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[
            ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)])
        self.stub = stubs.ElectionStub(self.channel)

    def call(self, method, request):
        try:
            return method(request, timeout=5), "ok"
        except grpc.RpcError as error:
            return None, STATUS.get(error.code())

    def campaign(self, election, candidate, term, past):
        answer, status = self.call(self.stub.Campaign, pb.CampaignRequest(election=election, candidate=candidate, term=term, past=past))
        if answer is None:
            return status, False, "", 0, 0
        return status, answer.elected, answer.leader, answer.token, answer.expires_in

    def extend(self, election, candidate, term, token):
        answer, status = self.call(self.stub.ExtendElectedTerm, pb.ExtendElectedTermRequest(
            election=election, leader=candidate, term=term, token=token))
        return (status, False, "", 0, 0) if answer is None else (status, True, candidate, answer.token, answer.expires_in)

    def resign(self, election, candidate, token):
        _, status = self.call(self.stub.Resign, pb.ResignRequest(election=election, leader=candidate, token=token))
        return status, False, "", 0, 0

    def handover(self, election, heir, term, holder, token):
        answer, status = self.call(self.stub.Handover, pb.HandoverRequest(
            **{"election": election, "leader": heir, "term": term, "from": holder, "token": token}))
        return (status, False, "", 0, 0) if answer is None else (status, True, heir, answer.token, answer.expires_in)


class OverHttp:
    def __init__(self, port):
        self.port = port
        self.connection = None

    def call(self, method, election, body):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            self.connection.request(method, f"/election/{election}", json.dumps(body), {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return None, {}

    @staticmethod
    def word(status):
        return {None: None, 200: "ok", 409: "held", 404: "not_found", 412: "unavailable"}.get(status, "error")

    def campaign(self, election, candidate, term, past):
        status, body = self.call("POST", election, {"candidate": candidate, "term": term, "past": str(past)})
        return self.word(status), body.get("elected", False), body.get("leader", ""), int(body.get("token", 0)), body.get("expires_in", 0)

    def extend(self, election, candidate, term, token):
        status, body = self.call("PATCH", election, {"leader": candidate, "term": term, "token": str(token)})
        return self.word(status), status == 200, candidate, int(body.get("token", 0)), body.get("expires_in", 0)

    def resign(self, election, candidate, token):
        status, _ = self.call("DELETE", election, {"leader": candidate, "token": str(token)})
        return self.word(status), False, "", 0, 0

    def handover(self, election, heir, term, holder, token):
        status, body = self.call("PUT", election, {"leader": heir, "term": term, "from": holder, "token": str(token)})
        return self.word(status), status == 200, heir, int(body.get("token", 0)), body.get("expires_in", 0)


class Candidate:
    """Stands for one election under one name; knows its own validity by its own clock."""

    def __init__(self, name, election, options, chance, out):
        self.name, self.election, self.options, self.chance, self.out = name, election, options, chance, out
        self.token, self.until, self.past, self.quiet_until = 0, 0.0, 0, 0.0

    def leads(self):
        return self.token != 0 and now() < self.until

    def note(self, op, candidate, sent, answer, **more):
        status, elected, leader, token, expires_in = answer
        self.out.write(json.dumps({
            "client": self.options.seed, "op": op, "election": self.election, "candidate": candidate, "sent": sent,
            "received": now() if status else None, "status": status, "elected": elected, "leader": leader, "token": token,
            "expires_in": expires_in, **more}) + "\n")

    def turn(self, wire):
        if self.token and now() >= self.until:
            self.token = 0
        if not self.token:
            if now() >= self.quiet_until:
                self.campaign(wire)
            return
        dice = self.chance.random()
        if dice < 0.05:
            self.resign(wire)
        elif dice < 0.08:
            self.handover(wire)
        else:
            self.extend(wire)

    def campaign(self, wire):
        sent = now()
        answer = wire.campaign(self.election, self.name, self.options.term, self.past)
        self.note("campaign", self.name, sent, answer, past=self.past)
        if answer[0] == "ok" and answer[1]:
            self.token, self.until = answer[3], sent + answer[4] / 1000

    def extend(self, wire):
        sent = now()
        token = self.token
        answer = wire.extend(self.election, self.name, self.options.term, token)
        self.note("extend", self.name, sent, answer, arg_token=token)
        if answer[0] == "ok":
            self.until = sent + answer[4] / 1000
        elif answer[0] in ("held", "not_found"):
            self.token = 0

    def give_up(self):
        """An answer may be lost: the old validity is waited for before standing again, and the token is never led again."""
        self.past, self.quiet_until, self.token = max(self.past, self.token), self.until, 0

    def resign(self, wire):
        sent, token = now(), self.token
        self.note("resign", self.name, sent, wire.resign(self.election, self.name, token), arg_token=token)
        self.give_up()

    def handover(self, wire):
        heir = f"{self.name}-heir"
        sent, token = now(), self.token
        answer = wire.handover(self.election, heir, self.options.term, self.name, token)
        self.note("handover", heir, sent, answer, arg_token=token)
        self.give_up()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--until", required=True, type=pathlib.Path)
    parser.add_argument("--grpc", type=int)
    parser.add_argument("--http", type=int)
    for name, value in (("seed", 1), ("elections", 3), ("candidates", 4), ("term", 1000), ("pause_ms", 5)):
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    wires = [OverGrpc(options.grpc)] if options.grpc else []
    wires += [OverHttp(options.http)] if options.http else []
    with open(options.out, "w", buffering=1) as out:
        crowd = [Candidate(f"c{options.seed}-{i}", f"e{i % options.elections}", options, chance, out)
                 for i in range(options.candidates)]
        while not options.until.exists():
            chance.choice(crowd).turn(chance.choice(wires))
            time.sleep(chance.random() * options.pause_ms / 1000)


if __name__ == "__main__":
    main()
