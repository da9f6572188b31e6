"""Python classes made from our own .proto files at the start of a test run (once, shared by pytest's workers)."""
import fcntl
import hashlib
import importlib
import pathlib
import subprocess
import sys

from harness.agent import BUILD

API = pathlib.Path(__file__).resolve().parents[3] / "api"


def load():
    """Returns (messages, stubs): the modules election_agent_pb2 and election_agent_pb2_grpc."""
    sources = sorted(API.glob("**/*.proto"))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:16]
    out = BUILD / f"python-proto-{digest}"
    out.mkdir(exist_ok=True)
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / ".done").exists():
            subprocess.run(
                ["protoc", f"-I{API}", f"--python_out={out}", f"--grpc_out={out}",
                 "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *map(str, sources)],
                check=True)
            (out / ".done").touch()
    if str(out) not in sys.path:
        sys.path.insert(0, str(out))
    return importlib.import_module("election_agent_pb2"), importlib.import_module("election_agent_pb2_grpc")
