import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.agent import VARIANT, Agent  # noqa: E402
from harness.redis import Server  # noqa: E402

# What has nothing of a build in it, or is about what is installed, is tested once.
collect_ignore = [] if VARIANT == "release" else ["test_container.py", "test_library_installed.py", "test_manuals.py"]


@pytest.fixture
def agents(tmp_path):
    """Makes agents; at the end of the test every one that still runs is stopped, and must end cleanly."""
    made = []

    def make(name="agent", **settings):
        agent = Agent(tmp_path / name, **settings)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.stop()


@pytest.fixture
def agent(agents):
    """One agent on the embedded store, running."""
    return agents().start()


@pytest.fixture
def redis(tmp_path):
    """One redis-server, running."""
    server = Server(tmp_path / "redis").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pb():
    from harness import proto
    return proto.load()[0]


@pytest.fixture
def stubs(agent):
    """Stubs of Election and Control over one channel to `agent`."""
    import grpc

    from harness import proto
    _, grpc_module = proto.load()
    channel = grpc.insecure_channel(agent.grpc_target)
    yield type("Stubs", (), {"election": grpc_module.ElectionStub(channel), "control": grpc_module.ControlStub(channel), "channel": channel})
    channel.close()
