"""The gRPC API as a client of another language sees it (grpcio), every status of the table in the specification."""
import time

import grpc
import pytest

from harness import proto
from harness.agent import SLOW, wait_for

pb, pb_grpc = proto.load()


def refused(call, code, *words):
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() == code, error.value
    for word in words:
        assert word in error.value.details(), error.value.details()


def campaign(stubs, election="job", candidate="a", term=10000, **more):
    return stubs.election.Campaign(pb.CampaignRequest(election=election, candidate=candidate, term=term, **more))


def test_the_first_to_campaign_is_elected_and_the_second_learns_who_leads(stubs):
    won = campaign(stubs)
    assert (won.elected, won.leader, won.kind) == (True, "a", "default")
    assert 0 < won.token < 2**53
    assert 9000 < won.expires_in <= 10000 - 100 - 2
    lost = campaign(stubs, candidate="b")
    assert (lost.elected, lost.leader, lost.token) == (False, "a", won.token)
    assert 0 < lost.expires_in <= 10000


def test_the_leader_may_campaign_again_and_keeps_its_token(stubs):
    first, second = campaign(stubs), campaign(stubs)
    assert second.elected and second.token == first.token


def test_past_is_never_led_again(stubs):
    first = campaign(stubs)
    again = campaign(stubs, past=first.token)
    assert again.elected and again.token > first.token


def test_kinds_are_apart_and_the_answer_carries_the_one_that_was_meant(stubs):
    assert campaign(stubs).kind == "default"
    other = campaign(stubs, candidate="b", kind="shards")
    assert other.elected and other.kind == "shards"
    assert not campaign(stubs, candidate="b", kind="default").elected


def test_extending(stubs):
    def extend(leader, **more):
        return stubs.election.ExtendElectedTerm(pb.ExtendElectedTermRequest(election="job", leader=leader, term=10000, **more))
    refused(lambda: extend("a"), grpc.StatusCode.NOT_FOUND)
    won = campaign(stubs)
    answer = extend("a", retries=3, retry_interval=10)
    assert answer.value and answer.token == won.token and answer.expires_in > 9000
    assert extend("a", token=won.token).value
    refused(lambda: extend("b"), grpc.StatusCode.ALREADY_EXISTS)
    refused(lambda: extend("a", token=won.token + 1), grpc.StatusCode.ALREADY_EXISTS)


def test_resigning(stubs):
    def resign(leader, **more):
        return stubs.election.Resign(pb.ResignRequest(election="job", leader=leader, **more))
    refused(lambda: resign("a"), grpc.StatusCode.NOT_FOUND)
    first = campaign(stubs)
    refused(lambda: resign("b"), grpc.StatusCode.NOT_FOUND)
    assert resign("a", token=first.token).value
    second = campaign(stubs)
    assert second.token > first.token
    # A repeated resignation of the old tenure does not end the new one.
    refused(lambda: resign("a", token=first.token), grpc.StatusCode.NOT_FOUND)
    assert campaign(stubs, candidate="b").elected is False


def test_handing_over(stubs):
    def handover(leader, **more):
        return stubs.election.Handover(pb.HandoverRequest(election="job", leader=leader, term=10000, **more))
    refused(lambda: handover("b", **{"from": "a"}), grpc.StatusCode.ALREADY_EXISTS)
    won = campaign(stubs)
    refused(lambda: handover("b", **{"from": "c"}), grpc.StatusCode.ALREADY_EXISTS)
    refused(lambda: handover("b", token=won.token + 1), grpc.StatusCode.ALREADY_EXISTS)
    moved = handover("b", **{"from": "a", "token": won.token})
    assert moved.value and moved.token > won.token
    assert campaign(stubs).leader == "b"
    override = handover("c")
    assert override.value and override.token > moved.token
    refused(lambda: handover("d", drain=1000), grpc.StatusCode.UNIMPLEMENTED, "drain")


def test_asking_who_leads(stubs):
    refused(lambda: stubs.election.GetLeader(pb.GetLeaderRequest(election="job")), grpc.StatusCode.NOT_FOUND)
    won = campaign(stubs)
    answer = stubs.election.GetLeader(pb.GetLeaderRequest(election="job"))
    assert (answer.value, answer.token) == ("a", won.token)


def test_everything_about_an_election(stubs):
    refused(lambda: stubs.election.GetElection(pb.GetElectionRequest(election="job")), grpc.StatusCode.NOT_FOUND)
    won = campaign(stubs)
    campaign(stubs, candidate="b", priority=7)
    info = stubs.election.GetElection(pb.GetElectionRequest(election="job"))
    assert (info.leader, info.token, info.term) == ("a", won.token, 10000)
    assert 0 < info.expires_in <= 10000
    candidates = {c.name: c for c in info.candidates}
    assert set(candidates) == {"a", "b"}
    assert candidates["a"].leading and not candidates["b"].leading
    assert candidates["b"].priority == 7
    stubs.election.Resign(pb.ResignRequest(election="job", leader="a"))
    campaign(stubs, candidate="b")
    info = stubs.election.GetElection(pb.GetElectionRequest(election="job"))
    assert [(e.action, e.leader) for e in info.events] == [("elected", "a"), ("resigned", "a"), ("elected", "b")]


def test_listing_leaders_in_pages(stubs):
    for i in range(25):
        campaign(stubs, election=f"e{i:02}", kind="many", candidate=f"c{i}")
    names, page = [], ""
    while True:
        answer = stubs.election.ListLeaders(pb.ListLeadersRequest(kind="many", page_size=10, page_token=page))
        assert len(answer.leaders) <= 10
        names += [leader.election for leader in answer.leaders]
        page = answer.next_page_token
        if not page:
            break
    assert names == [f"e{i:02}" for i in range(25)]
    assert list(stubs.election.ListLeaders(pb.ListLeadersRequest(kind="none")).leaders) == []


def test_a_lease_ends_with_its_term(stubs):
    campaign(stubs, term=1000)
    began = time.monotonic()
    wait_for(lambda: campaign(stubs, candidate="b", term=1000).elected, "the lease to end", 3)
    assert 0.9 < time.monotonic() - began < 1.1 + 0.5 * SLOW


@pytest.mark.parametrize("field, request_fields", [
    ("election", {"election": ""}),
    ("election", {"election": "x" * 254}),
    ("election", {"election": "a\nb"}),
    ("candidate", {"candidate": ""}),
    ("candidate", {"candidate": "\x1b[31m"}),
    ("kind", {"kind": "no/slash"}),
    ("kind", {"kind": "k" * 64}),
    ("term", {"term": 0}),
    ("term", {"term": -5}),
    ("term", {"term": 999}),
    ("term", {"term": 3600001}),
    ("priority", {"priority": -1}),
    ("metadata", {"metadata": "m" * 1025}),
])
def test_a_wrong_field_is_named(stubs, field, request_fields):
    refused(lambda: campaign(stubs, **request_fields), grpc.StatusCode.INVALID_ARGUMENT, field)


def test_names_may_be_long_and_in_any_script(stubs):
    for name in ("x" * 253, "größe/ключ/鍵", "a b?c#d%e"):
        assert campaign(stubs, election=name, candidate=name).leader == name


def test_what_comes_later_is_refused_and_not_ignored(stubs):
    refused(lambda: campaign(stubs, wait=1000), grpc.StatusCode.UNIMPLEMENTED, "wait")


def test_pods_are_unimplemented_without_kubernetes(stubs):
    refused(lambda: stubs.election.GetPods(pb.GetPodsRequest(namespace="n", deployment="d")), grpc.StatusCode.UNIMPLEMENTED)


def test_the_status_of_the_agent(stubs):
    status = stubs.control.GetStatus(pb.Empty())
    assert (status.state, status.mode, status.zc_connected, status.peer_connected) == ("active", "normal", False, False)


def test_both_listeners_answer_grpc(agent):
    with grpc.insecure_channel(f"127.0.0.1:{agent.http_port}") as channel:
        assert pb_grpc.ElectionStub(channel).Campaign(pb.CampaignRequest(election="job", candidate="a", term=5000)).elected


def test_an_unknown_method_is_unimplemented(stubs):
    call = stubs.channel.unary_unary("/grpc.election_agent.v1.Election/Nonsense")
    refused(lambda: call(b""), grpc.StatusCode.UNIMPLEMENTED, "Nonsense")


def test_garbage_for_a_message_is_an_invalid_argument_or_internal_and_the_connection_lives(stubs):
    call = stubs.channel.unary_unary("/grpc.election_agent.v1.Election/Campaign")
    with pytest.raises(grpc.RpcError) as error:
        call(b"\xff\xff\xff\xff")
    assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
    assert campaign(stubs).elected


def test_a_compressed_request_is_understood(agent):
    with grpc.insecure_channel(agent.grpc_target, compression=grpc.Compression.Gzip) as channel:
        answer = pb_grpc.ElectionStub(channel).Campaign(
            pb.CampaignRequest(election="job", candidate="a" * 200, term=5000), compression=grpc.Compression.Gzip)
    assert answer.elected


def test_another_compression_is_unimplemented(agent):
    with grpc.insecure_channel(agent.grpc_target) as channel:
        refused(lambda: pb_grpc.ElectionStub(channel).Campaign(
            pb.CampaignRequest(election="job", candidate="a" * 200, term=5000), compression=grpc.Compression.Deflate),
            grpc.StatusCode.UNIMPLEMENTED)


def test_a_message_over_64_kib_is_refused(stubs):
    refused(lambda: campaign(stubs, metadata="m" * 70000), grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_an_expired_deadline_is_told(stubs):
    with pytest.raises(grpc.RpcError) as error:
        stubs.election.Campaign(pb.CampaignRequest(election="job", candidate="a", term=5000), timeout=0.000001)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_thousand_calls_at_once_on_one_connection(stubs):
    calls = [stubs.election.Campaign.future(pb.CampaignRequest(election=f"e{i}", candidate="a", term=60000)) for i in range(1000)]
    assert all(call.result().elected for call in calls)
    assert len({call.result().token for call in calls}) == 1000


def test_a_restart_on_the_same_port_is_survived_by_the_channel(agent, stubs):
    won = campaign(stubs, term=60000)
    agent.kill()
    agent.start()

    def again():
        try:
            return campaign(stubs, term=60000)
        except grpc.RpcError:
            return None
    assert wait_for(again, "the channel to come back", 20).token == won.token
