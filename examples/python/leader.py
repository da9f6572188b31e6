#!/usr/bin/python3
"""A candidate: stands for election until it leads, leads until Ctrl-C, and then gives the election back.

    leader.py NAME [ELECTION] [HOST:PORT]

Start it in two terminals under two names. Needs python3-grpcio and protoc with its Python plugin.
"""
import importlib
import pathlib
import subprocess
import sys
import tempfile
import time

import grpc

API = pathlib.Path(__file__).resolve().parents[2] / "api"
TERM_MS = 3000


def stubs():
    """Makes the client from the proto file; a real program does this when it is built."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["protoc", f"-I{API}", f"--python_out={out}", f"--grpc_out={out}",
                        "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", str(API / "election_agent.proto")], check=True)
        sys.path.insert(0, out)
        return importlib.import_module("election_agent_pb2"), importlib.import_module("election_agent_pb2_grpc")


def now():
    """Seconds on a clock that never goes back and counts a suspended machine's time."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def stand(pb, election, name, candidate):
    """Campaigns until elected. Returns the token, and until when the leadership may be believed in."""
    told = None
    while True:
        sent = now()  # before sending: validity counts from here
        result = election.Campaign(pb.CampaignRequest(election=name, candidate=candidate, term=TERM_MS), timeout=5)
        if result.elected:
            return result.token, sent + result.expires_in / 1000
        if result.leader != told:
            told = result.leader
            print(f"{told} leads", flush=True)
        time.sleep(0.5)


def lead(pb, election, name, candidate, token, until):
    """Extends every third of the term. Returns when the leadership is lost."""
    while now() < until:
        time.sleep(TERM_MS / 3000)
        sent = now()
        try:
            extended = election.ExtendElectedTerm(
                pb.ExtendElectedTermRequest(election=name, leader=candidate, term=TERM_MS, token=token), timeout=max(0.1, until - sent))
            until = sent + extended.expires_in / 1000
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS):
                return  # it is over, and somebody else may lead
            # No answer, or no decision: try again as long as the validity lasts.


def main():
    candidate = sys.argv[1]
    name = sys.argv[2] if len(sys.argv) > 2 else "tour"
    target = sys.argv[3] if len(sys.argv) > 3 else "localhost:50051"
    pb, services = stubs()
    election = services.ElectionStub(grpc.insecure_channel(target))
    token = 0
    try:
        while True:
            token, until = stand(pb, election, name, candidate)
            print(f"I, {candidate}, lead, with token {token}", flush=True)
            lead(pb, election, name, candidate, token, until)
            token = 0
            print("I lead no more", flush=True)
    except KeyboardInterrupt:
        if token:
            election.Resign(pb.ResignRequest(election=name, leader=candidate, token=token), timeout=5)
            print("resigned", flush=True)


if __name__ == "__main__":
    main()
