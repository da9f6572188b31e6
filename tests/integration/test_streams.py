"""Streaming calls end to end: health (server streaming) and reflection (both ways), with grpcio and with grpc-js."""
import json
import pathlib
import signal
import subprocess
import threading

import grpc
import pytest

from harness import proto
from harness.agent import SLOW, wait_for

proto.load()
import health_pb2  # noqa: E402
import reflection_pb2  # noqa: E402
import reflection_v1alpha_pb2  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@pytest.fixture
def channel(agent):
    with grpc.insecure_channel(agent.grpc_target) as channel:
        yield channel


def check(channel, service):
    call = channel.unary_unary("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest.SerializeToString,
                               health_pb2.HealthCheckResponse.FromString)
    return call(health_pb2.HealthCheckRequest(service=service)).status


def watch(channel, service):
    call = channel.unary_stream("/grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest.SerializeToString,
                                health_pb2.HealthCheckResponse.FromString)
    return call(health_pb2.HealthCheckRequest(service=service))


@pytest.mark.parametrize("service", ["", "liveness", "readiness", "grpc.election_agent.v1.Election", "grpc.election_agent.v1.Control"])
def test_every_service_is_serving(channel, service):
    assert check(channel, service) == SERVING
    stream = watch(channel, service)
    assert next(stream).status == SERVING
    stream.cancel()


def test_an_unknown_service(channel):
    with pytest.raises(grpc.RpcError) as error:
        check(channel, "nonsense")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    stream = watch(channel, "nonsense")
    assert next(stream).status == SERVICE_UNKNOWN
    stream.cancel()


def test_a_watcher_learns_that_the_agent_goes(agent, channel):
    stream = watch(channel, "readiness")
    assert next(stream).status == SERVING
    seen = []

    def follow():
        try:
            seen.extend(answer.status for answer in stream)
        except grpc.RpcError:
            pass
    thread = threading.Thread(target=follow)
    thread.start()
    agent.process.send_signal(signal.SIGTERM)
    wait_for(lambda: NOT_SERVING in seen, "the watcher to be told")
    thread.join(30 * SLOW)
    assert not thread.is_alive()


def test_many_watchers_that_leave_are_forgotten(agent):
    before = agent.metric("process_open_fds")
    for _ in range(20):
        with grpc.insecure_channel(agent.grpc_target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            streams = [watch(channel, "") for _ in range(20)]
            assert all(next(stream).status == SERVING for stream in streams)
    wait_for(lambda: agent.metric("process_open_fds") <= before + 1, "the connections to be closed")


def reflect(channel, module, version, *requests):
    call = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                 module.ServerReflectionRequest.SerializeToString, module.ServerReflectionResponse.FromString)
    return list(call(iter(requests)))


@pytest.mark.parametrize("module, version", [(reflection_pb2, "v1"), (reflection_v1alpha_pb2, "v1alpha")])
def test_a_client_without_proto_files_finds_everything(channel, module, version):
    request = module.ServerReflectionRequest
    listed, file, symbol, method, missing = reflect(
        channel, module, version, request(list_services="*"), request(file_by_filename="election_agent.proto"),
        request(file_containing_symbol="grpc.election_agent.v1.Election"),
        request(file_containing_symbol="grpc.election_agent.v1.Election.Campaign"), request(file_containing_symbol="no.such.Thing"))
    names = {service.name for service in listed.list_services_response.service}
    assert {"grpc.election_agent.v1.Election", "grpc.election_agent.v1.Control", "grpc.health.v1.Health",
            f"grpc.reflection.{version}.ServerReflection"} <= names
    from google.protobuf import descriptor_pb2
    for answer in (file, symbol, method):
        descriptor = descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
        assert descriptor.package == "grpc.election_agent.v1"
        assert {"Campaign", "GetElection"} <= {m.name for s in descriptor.service for m in s.method}
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_grpc_js_sees_the_same(agent):
    result = subprocess.run(["node", str(ROOT / "tests/integration/js/client.mjs"), str(ROOT / "api"), agent.grpc_target],
                            capture_output=True, text=True, timeout=60 * SLOW)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    code = {name: getattr(grpc.StatusCode, name).value[0] for name in
            ("INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND", "DEADLINE_EXCEEDED", "CANCELLED")}
    assert seen["won"]["elected"] and not seen["lost"]["elected"]
    assert seen["lost"]["leader"] == "a" and seen["lost"]["token"] == seen["won"]["token"]
    assert seen["held"]["code"] == code["ALREADY_EXISTS"]
    assert seen["invalid"]["code"] == code["INVALID_ARGUMENT"] and "election" in seen["invalid"]["details"]
    assert seen["leader"]["value"] == "a"
    assert seen["late"]["code"] == code["DEADLINE_EXCEEDED"]
    assert seen["resigned"]["value"] is True
    assert seen["none"]["code"] == code["NOT_FOUND"]
    assert seen["many"] == 200
    assert seen["watch"] == {"first": SERVING, "code": code["CANCELLED"]}
    assert "grpc.election_agent.v1.Election" in seen["services"]
