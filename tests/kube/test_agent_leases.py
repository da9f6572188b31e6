"""The agent with EA_DRIVER=kubernetes on the test API server: elections on Leases, and every way in which that goes wrong."""
import concurrent.futures
import json
import time

import apiserver
import grpc
import pytest

from harness import history, proto
from harness.agent import SLOW, Agent, wait_for
from test_crash import Crowd
from test_manifests import SETS
from test_redis import campaign, extend, leader_of, names_of, resign, says, walk_through

NAMESPACE = "default"
LAST = "election-agent/last"


@pytest.fixture
def agents(tmp_path):
    """Makes agents: agents(kube, token=..., THREADS=2). Those that still run at the end of the test are stopped, and must end cleanly."""
    made = []

    def make(kube, token=None, ca=None, **settings):
        config = tmp_path / f"config-{len(made)}"
        config.write_text(json.dumps(apiserver.kubeconfig(kube, token, ca)))
        made.append(Agent(tmp_path / f"agent-{len(made)}", DRIVER="kubernetes", KUBE_IN_CLUSTER="false", KUBE_CONFIG=config,
                          LEASE_MAX_TERM="60s", **settings))
        return made[-1]

    yield make
    for agent in made:
        agent.stop()


def lease(kube, name="job", namespace=NAMESPACE):
    return kube.get("Lease", name, namespace)


def spec(kube, name="job", namespace=NAMESPACE):
    return lease(kube, name, namespace)["spec"]


def edit(kube, name="job", **changes):
    """As by kubectl edit: whoever else writes meanwhile is not asked."""
    old = lease(kube, name)
    kube.put({"kind": "Lease", "metadata": {"name": name, "annotations": old["metadata"].get("annotations", {})},
              "spec": {k: v for k, v in {**old["spec"], **changes}.items() if v is not None}})


def at_once(*asks):
    """The answers to questions that are asked at the same time."""
    with concurrent.futures.ThreadPoolExecutor(len(asks)) as pool:
        return [future.result() for future in [pool.submit(ask) for ask in asks]]


def is_ready(agent):
    return agent.ready()


# --- a life of an election ---

@pytest.mark.parametrize("threads", [1, 3])
def test_an_election_lives_on_a_lease(agents, kube, threads):
    agent = agents(kube, THREADS=threads).start()
    for i in range(threads + 1):
        walk_through(agent, f"job-{i}")
    assert spec(kube, "job-0")["holderIdentity"] == "b"
    assert spec(kube, "job-0")["leaseDurationSeconds"] == 5
    assert lease(kube, "job-0")["metadata"]["annotations"][LAST] == f"elected {spec(kube, 'job-0')['leaseTransitions']}"
    # Leases are never deleted; a campaign that lost and a read wrote nothing.
    assert kube.asked(verb="delete", resource="leases") == 0


def test_grpc_says_the_same(agents, kube):
    pb, stubs = proto.load()
    agent = agents(kube).start()
    with grpc.insecure_channel(agent.grpc_target) as channel:
        stub = stubs.ElectionStub(channel)
        won = stub.Campaign(pb.CampaignRequest(election="job", candidate="a", term=5000))
        assert won.elected and won.token == spec(kube)["leaseTransitions"] and 0 < won.expires_in <= 5000
        assert stub.ExtendElectedTerm(pb.ExtendElectedTermRequest(election="job", leader="a", term=5000)).token == won.token
        moved = stub.Handover(pb.HandoverRequest(**{"election": "job", "leader": "b", "term": 5000, "from": "a"}))
        assert moved.token == won.token + 1
        info = stub.GetElection(pb.GetElectionRequest(election="job"))
        assert info.leader == "b" and info.token == moved.token
        assert [event.action for event in info.events] == ["elected", "handed_over"]
        assert stub.GetLeader(pb.GetLeaderRequest(election="job")).value == "b"
        stub.Resign(pb.ResignRequest(election="job", leader="b", token=moved.token))
        with pytest.raises(grpc.RpcError) as error:
            stub.GetLeader(pb.GetLeaderRequest(election="job"))
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert "holderIdentity" not in spec(kube) and spec(kube)["leaseTransitions"] == moved.token


def test_names_become_dns_names_and_come_back(agents, kube):
    agent = agents(kube, KUBE_LEASE_NAMESPACE="elections")
    kube.put({"kind": "Namespace", "metadata": {"name": "elections"}})
    agent.start()
    for election in ("job", "J%C3%B6b", "a%2Fb"):
        assert campaign(agent, election, "kandidat-ä")[1]["elected"]
    assert campaign(agent, "billing/job", "x")[1]["elected"]
    for name in ("job", "0--4a--c3--b6b", "a--2fb", "billing---job"):
        assert lease(kube, name, "elections"), name
    assert [row["election"] for row in names_of(agent)["leaders"]] == ["Jöb", "a/b", "job"]
    assert [row["election"] for row in agent.json("GET", "/elections/billing")[1]["leaders"]] == ["job"]
    assert agent.metric("election_agent_elections", kind="default") == 3


# --- several agents ---

def test_what_one_agent_has_answered_counts_at_the_other_at_once(agents, kube):
    one, two = agents(kube).start(), agents(kube).start()
    for _ in range(20):
        won = campaign(one, "job", "a")[1]
        assert won["elected"]
        assert leader_of(two, "job") == "a"
        assert campaign(two, "job", "b")[1]["token"] == won["token"]
        assert extend(two, "job", "a", token=won["token"])[0] == 200  # a client may change its agent
        assert resign(two, "job", "a", token=won["token"])[0] == 200
        assert leader_of(one, "job") is None
        assert campaign(two, "job", "b")[1]["elected"]
        assert resign(one, "job", "b")[0] == 200
    wait_for(lambda: one.metric("election_agent_leader_changes_total") == two.metric("election_agent_leader_changes_total") == 80,
             "both to have told every change")


def test_of_two_agents_that_campaign_at_once_one_wins(agents, kube):
    two = [agents(kube).start(), agents(kube).start()]
    for i in range(20):
        answers = at_once(lambda: campaign(two[0], f"job-{i}", "c0"), lambda: campaign(two[1], f"job-{i}", "c1"))
        assert [status for status, _ in answers] == [200, 200], answers
        assert sorted(answer["elected"] for _, answer in answers) == [False, True]
        assert answers[0][1]["leader"] == answers[1][1]["leader"] and answers[0][1]["token"] == answers[1][1]["token"]


def test_a_killed_agent_loses_no_lease_and_its_rival_waits_for_the_term(agents, kube):
    one, two = agents(kube).start(), agents(kube).start()
    won = campaign(one, "job", "a", 3000)[1]
    began = time.monotonic()
    one.kill()
    assert campaign(two, "job", "b", 3000)[1]["token"] == won["token"]
    one.start()
    assert leader_of(one, "job") == "a"
    won_by_b = wait_for(lambda: (answer := campaign(two, "job", "b", 3000)[1])["elected"] and answer, "the term to be over")
    assert 2.9 < time.monotonic() - began < 6 * SLOW
    assert int(won_by_b["token"]) > int(won["token"])
    assert extend(one, "job", "a")[0] == 409


def test_an_expiry_is_told_by_every_agent_and_stands_in_the_lease(agents, kube):
    two = [agents(kube).start(), agents(kube).start()]
    assert campaign(two[0], "job", "a", 1000)[1]["elected"]
    for agent in two:
        wait_for(lambda: agent.metric("election_agent_leader_changes_total", reason="expired") == 1, "the expiry to be told")
        assert agent.metric("election_agent_leader_changes_total", reason="resigned") == 0
    assert "holderIdentity" not in spec(kube)
    assert lease(kube)["metadata"]["annotations"][LAST].startswith("expired ")
    for agent in two:
        agent.kill()
    assert leader_of(agents(kube).start(), "job") is None  # nobody has to wait for it again


# --- a bad API server ---

def test_conflict_on_every_second_write_delays_and_nothing_else(agents, kube):
    kube.fault(verb="update", resource="leases", conflict=True, every=2)
    kube.fault(verb="create", resource="leases", conflict=True, every=2)
    walk_through(agents(kube).start())


def test_lost_answers_are_found_in_the_lease(agents, kube):
    agent = agents(kube).start()
    for verb, ask in (("create", lambda: campaign(agent, "job", "a")), ("update", lambda: extend(agent, "job", "a"))):
        kube.fault(verb=verb, resource="leases", lose_answer=True, times=1)
        status, answer = ask()
        assert status == 200, answer
        assert int(answer["token"]) == spec(kube)["leaseTransitions"]
    kube.fault(verb="update", resource="leases", lose_answer=True, times=1)
    assert resign(agent, "job", "a")[0] == 200
    assert leader_of(agent, "job") is None


def test_a_grant_that_nobody_was_told_of_is_taken_back(agents, kube):
    agent = agents(kube).start()
    kube.fault(verb="create", resource="leases", lose_answer=True, times=1)
    hidden = kube.fault(verb="get", resource="leases", status=503)
    status, answer = campaign(agent, "job", "a", 60000)
    assert status == 412, answer
    assert spec(kube)["holderIdentity"] == "a"
    assert hidden.hits > 0
    kube.heal()
    wait_for(lambda: "holderIdentity" not in spec(kube), "the grant to be taken back")
    assert campaign(agent, "job", "b")[1]["elected"]


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 1, "times": 2}, {"status": 503, "times": 2}, {"close": True, "times": 1},
                                   {"delay": 0.5}, {"pieces": 7}])
def test_faults_that_pass_are_waited_out(agents, kube, fault):
    agent = agents(kube).start()
    kube.fault(resource="leases", verb="create", **fault)
    kube.fault(resource="leases", verb="get", **fault)
    status, answer = campaign(agent, "job", "a")
    assert (status, answer.get("elected")) == (200, True), answer
    assert leader_of(agent, "job") == "a"


@pytest.mark.parametrize("fault", [{"hang": True}, {"status": 500}, {"body": "[]"}, {"body": "{"}, {"cut_after": 40}, {"status": 429, "retry_after": 60}])
def test_what_cannot_be_decided_is_said_in_time(agents, kube, fault):
    agent = agents(kube).start()
    assert campaign(agent, "job", "a", 60000)[1]["elected"]
    for verb in ("get", "update"):
        kube.fault(resource="leases", verb=verb, **fault)
    began = time.monotonic()
    answers = at_once(lambda: campaign(agent, "job", "b"), lambda: extend(agent, "job", "a"), lambda: agent.json("GET", "/election/job"))
    assert time.monotonic() - began < 3.5 * SLOW
    for status, answer in answers:
        assert status == 412 and "cannot decide" in answer["message"], answer
    kube.heal()
    assert extend(agent, "job", "a", 60000)[0] == 200


def test_while_the_api_server_is_away_nobody_is_elected_and_the_agent_is_not_ready(agents, kube):
    agent = agents(kube).start()
    won = campaign(agent, "job", "a", 1000)[1]
    kube.go_down()
    wait_for(lambda: not is_ready(agent), "the agent to say so")
    status, answer = campaign(agent, "job", "b", 1000)  # longer than the term
    assert status == 412, answer
    assert agent.json("GET", "/elections")[0] == 412
    kube.heal()
    wait_for(lambda: is_ready(agent), "the agent to be ready again", 30)
    status, next_one = campaign(agent, "job", "b", 1000)
    assert (status, next_one["elected"]) == (200, True)
    assert int(next_one["token"]) > int(won["token"])


def test_an_agent_without_an_api_server_starts_and_waits_for_it(agents, kube):
    kube.stop_listening()
    agent = agents(kube).spawn()
    wait_for(lambda: says(agent, "a watch is broken") or agent.process.poll() is not None, "the agent to find nobody")
    wait_for(lambda: agent.http("GET", "/livez")[0] == 200, "the agent to live")
    assert not is_ready(agent)
    assert campaign(agent, "job", "a")[0] == 412
    kube.listen()
    wait_for(lambda: is_ready(agent), "the agent to be ready", 30)
    walk_through(agent)


def test_a_broken_watch_is_made_good(agents, kube):
    one, two = agents(kube).start(), agents(kube).start()
    for i, how in enumerate(("cut", "expire", "cut")):
        kube.fault(verb="watch", resource="leases", cut_after=300 + i, times=1)
        assert campaign(one, f"job-{i}", "a", 60000)[1]["elected"]
        kube.end_watches(how)
        if how == "expire":
            kube.store.compact()
        assert campaign(one, f"more-{i}", "a", 60000)[1]["elected"]
        wait_for(lambda: is_ready(two) and len(names_of(two).get("leaders", [])) == 2 * (i + 1), "the watch to have caught up", 30)
    assert resign(one, "job-0", "a")[0] == 200
    wait_for(lambda: len(names_of(two).get("leaders", [])) == 5, "the resignation to be seen")


def test_an_hour_of_clock_skew_has_no_effect(agents, kube):
    agent = agents(kube).start()
    kube.store.clock_offset = 3600
    won = campaign(agent, "job", "a", 5000)[1]
    kube.store.clock_offset = -3600
    assert campaign(agent, "job", "b", 5000)[1]["token"] == won["token"]
    for wrong in ("2001-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"):
        edit(kube, renewTime=wrong, acquireTime=wrong)
        assert leader_of(agent, "job") == "a"
        assert not campaign(agent, "job", "b", 5000)[1]["elected"]
    assert extend(agent, "job", "a", 1000, token=won["token"])[0] == 200


def test_what_the_role_lacks_is_named(agents, kube_servers):
    kube = kube_servers(tokens={"t": "user"})
    kube.rbac.bind("user", [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "watch"]}], NAMESPACE)
    agent = agents(kube, token="t").spawn()
    wait_for(lambda: says(agent, "elections cannot be kept in this namespace", "cannot create resource"), "the agent to say what it lacks")
    status, answer = campaign(agent, "job", "a")
    assert status == 412 and "cannot create resource" in answer["message"] and '"leases"' in answer["message"], answer
    assert not is_ready(agent)
    kube.rbac.clear()
    kube.rbac.bind("user", [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}], NAMESPACE)
    blind = agents(kube, token="t").spawn()
    wait_for(lambda: says(blind, "a watch is broken", "cannot list resource"), "the agent to say what it lacks")
    assert not is_ready(blind)


def test_a_namespace_that_is_not_there_is_named(agents, kube):
    agent = agents(kube, KUBE_LEASE_NAMESPACE="nowhere").spawn()
    wait_for(lambda: says(agent, "elections cannot be kept in this namespace", 'not found'), "the log to name it")
    status, answer = agent.json("GET", "/readyz")
    assert status == 503 and 'create leases: namespaces "nowhere" not found' in answer["message"], answer
    status, answer = campaign(agent, "job", "a")
    assert status == 412 and 'namespaces "nowhere" not found' in answer["message"], answer
    kube.put({"kind": "Namespace", "metadata": {"name": "nowhere"}})
    wait_for(lambda: is_ready(agent), "the agent to find the namespace that was made")
    assert kube.get("Lease", "election-agent-check", "nowhere") is None
    assert campaign(agent, "job", "a")[1]["elected"]


def test_a_webhook_that_knows_no_dry_runs_is_no_reason_not_to_start(agents, kube):
    kube.fault(verb="create", path="dryRun", status=400, reason="BadRequest", message="admission webhook does not support dry run")
    assert campaign(agents(kube).start(), "job", "a")[1]["elected"]


def test_a_namespace_that_is_no_name_of_one_is_refused(agents, kube, tmp_path):
    agent = agents(kube)
    config = json.loads(agent.settings["KUBE_CONFIG"].read_text())
    config["contexts"][0]["context"]["namespace"] = "n" * 64
    agent.settings["KUBE_CONFIG"].write_text(json.dumps(config))
    agent.spawn()
    assert agent.process.wait(20 * SLOW) == 78
    agent.reader.join()
    assert says(agent, "the namespace has 64 bytes, at most 63"), agent.log
    agent.process = None


@pytest.mark.skipif(SLOW != 1, reason="sanitizers have a heap of their own")
def test_questions_leave_nothing_behind(agents, kube):
    agent = agents(kube).start()
    for i in range(200):
        assert leader_of(agent, f"kind-{i}/job") is None
    before = agent.memory()
    for i in range(2000):
        assert leader_of(agent, f"kind-{i}/job") is None
    assert agent.memory() < before + 2 * 1024 * 1024


def test_without_a_cluster_the_agent_ends_and_says_why(agents, kube, tmp_path):
    agent = agents(kube)
    agent.settings["KUBE_CONFIG"] = tmp_path / "nothing"
    agent.spawn()
    assert agent.process.wait(20 * SLOW) == 78
    agent.reader.join()
    assert says(agent, "driver kubernetes", "nothing"), agent.log
    agent.process = None


# --- foreign hands ---

def test_a_deleted_lease_takes_nothing_from_its_leader(agents, kube):
    agent = agents(kube).start()
    won = campaign(agent, "job", "a", 2000)[1]
    kube.remove("Lease", "job")
    assert not campaign(agent, "job", "b")[1]["elected"]
    status, longer = extend(agent, "job", "a", 2000)
    assert (status, longer["token"]) == (200, won["token"])
    assert spec(kube)["holderIdentity"] == "a"
    kube.remove("Lease", "job")
    next_one = wait_for(lambda: (answer := campaign(agent, "job", "b")[1])["elected"] and answer, "its term to be over")
    assert int(next_one["token"]) > int(won["token"])


def test_a_deleted_lease_that_nobody_holds_does_not_lower_the_token(agents, kube):
    one = agents(kube).start()
    for _ in range(3):
        token = int(campaign(one, "job", "a")[1]["token"])
        assert resign(one, "job", "a")[0] == 200
    kube.remove("Lease", "job")
    wait_for(lambda: int(time.time()) - 1577836800 > token, "the next second, if those were quick")
    assert int(campaign(one, "job", "a")[1]["token"]) > token


def test_an_edited_lease_is_believed(agents, kube):
    agent = agents(kube).start()
    token = int(campaign(agent, "job", "a", 60000)[1]["token"])
    edit(kube, holderIdentity="by-hand", leaseTransitions=token + 1)
    assert extend(agent, "job", "a")[0] == 409
    assert leader_of(agent, "job") == "by-hand"
    edit(kube, holderIdentity=None)
    assert int(campaign(agent, "job", "b")[1]["token"]) == token + 2
    edit(kube, holderIdentity="no\nname")
    status, answer = campaign(agent, "job", "c")
    assert status == 412 and "holderIdentity" in answer["message"]
    edit(kube, holderIdentity="x" * 300)  # longer than any candidate
    assert campaign(agent, "job", "c")[0] == 412
    edit(kube, holderIdentity=None)
    assert campaign(agent, "job", "c")[1]["elected"]


def test_an_elector_and_a_candidate_of_the_agent_compete_for_one_lease(agents, electors, kube):
    agent = agents(kube).start()
    won = campaign(agent, "the-election", "ours", 2000)[1]
    elector = electors(kube, "pod-1", strategy="renew", lease_duration="2s")
    wait_for(lambda: elector.leader == "ours", "the elector to see our leader")
    wait_for(elector.leads, "the elector to lead after our term")
    assert leader_of(agent, "the-election") == "pod-1"
    status, lost = campaign(agent, "the-election", "ours")
    assert (status, lost["elected"], lost["leader"]) == (200, False, "pod-1")
    assert int(lost["token"]) == int(won["token"]) + 1
    assert extend(agent, "the-election", "ours")[0] == 409
    elector.stop()
    status, back = campaign(agent, "the-election", "ours", 5000)
    assert (status, back["elected"], int(back["token"])) == (200, True, int(won["token"]) + 2)


def test_a_lease_that_belongs_to_a_pod_is_left_to_it(agents, electors, kube):
    agent = agents(kube).start()
    elector = electors(kube, "pod-1", strategy="owner")
    wait_for(elector.leads, "the elector to lead")
    assert leader_of(agent, "the-election") == "pod-1"
    assert not campaign(agent, "the-election", "ours")[1]["elected"]
    assert resign(agent, "the-election", "pod-1")[0] == 404
    assert agent.json("PUT", "/election/the-election", {"leader": "ours", "term": 5000})[0] == 409
    elector.kill()
    kube.remove("Pod", "pod-1")
    wait_for(lambda: campaign(agent, "the-election", "ours")[1]["elected"], "the Lease to go with its pod")


# --- all promises, under faults ---

@pytest.mark.parametrize("threads", [1, 2])
def test_every_promise_holds_for_two_agents_on_a_bad_api_server(agents, kube, tmp_path, threads):
    two = [agents(kube, THREADS=threads).start(), agents(kube, THREADS=threads).start()]
    with Crowd(two, tmp_path, 4, term=1500) as crowd:
        wait_for(crowd.began, "the first operations")
        kube.fault(verb="update", resource="leases", conflict=True, every=3)
        kube.fault(verb="update", resource="leases", lose_answer=True, every=7)
        kube.fault(verb="create", resource="leases", lose_answer=True, every=2)
        kube.fault(verb="get", resource="leases", status=503, every=11)
        kube.end_watches("cut")
        wait_for(crowd.competed, "the crowd to compete", 30)
        two[0].kill()
        kube.go_down()
        two[0].spawn()
        wait_for(lambda: not is_ready(two[1]), "the other agent to miss the API server")
        kube.heal()
        wait_for(lambda: all(is_ready(agent) for agent in two), "both to be ready", 30)
        begun = len(history.load(crowd.files))
        wait_for(lambda: len(history.load(crowd.files)) > begun + 100, "the crowd to go on", 30)
        operations = crowd.finish()
    assert history.judge(operations, bound=3.5 * SLOW) == []


@pytest.mark.parametrize("objects", ["leases", "chart-leases"])
def test_the_agent_uses_exactly_the_rights_of_its_manifests(agents, kube_servers, objects):
    kube = kube_servers(tokens={"t": "user"})
    given = [rule for o in SETS[objects]() if o["kind"] == "Role" for rule in o["rules"] if rule["resources"] == ["leases"]]
    kube.rbac.bind("user", given, NAMESPACE)
    walk_through(agents(kube, token="t").start())
    assert {request["verb"] for request in kube.requests if request.get("resource") == "leases"} == set(given[0]["verbs"])
