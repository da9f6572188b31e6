"""A crowd in every test run, and the proof that its judges bite."""
import os

import pytest

import crowd
from harness.agent import VARIANT, wait_for

SECONDS = 60 if VARIANT == "release" else 20


def test_a_crowd_under_faults_has_one_leader_and_its_tokens_never_go_down():
    seed = int(os.environ.get("CROWD_SEED", 0)) or int.from_bytes(os.urandom(3), "big")
    while len(crowd.CrowdPlan(seed, SECONDS).faults) < SECONDS // 3:  # a short plan may be all calm
        seed += 1
    outcome = crowd.run_round(seed, SECONDS)
    print(outcome.figures())
    assert not outcome.found, outcome.report()
    assert outcome.tenures >= SECONDS // 20 and outcome.appended > SECONDS, outcome.figures()
    assert len(outcome.weather.troubles) >= SECONDS // 10, outcome.figures()


def judged(stage):
    outcome = crowd.CrowdOutcome(stage.seed)
    outcome.take(list(stage.records()), stage.notes())
    return outcome.found


def names(found, *words):
    return all(any(word in line for line in found) for word in words)


@pytest.mark.skipif(VARIANT != "release", reason="the judges are the same for every build")
class TestJudges:
    @pytest.mark.parametrize("seed", [2, 3])
    def test_a_foreign_program_that_deletes_leases_is_noticed(self, seed):
        """Two leaders; and one of them finds the other's token in the file while it still leads."""
        def delete_leases(stage):
            def noticed():
                stage.nodes.sabotage(["crowd/crowd"], 0.1)
                return names(judged(stage), "two leaders", "was refused token")
            wait_for(noticed, "two leaders", 20)
        assert names(crowd.run_round(seed, 0, delete_leases, members=20).found, "two leaders", "was refused token")

    def test_former_leaders_that_write_unguarded_are_noticed(self):
        def watch(stage):
            wait_for(lambda: names(judged(stage), "after token"), "the tokens to go down", 20)
        assert names(crowd.run_round(2, 0, watch, members=5, zombie=1).found, "after token")


RECORDS = [(5, "m1"), (5, "m1"), (7, "m2")]
OPERATIONS = [{"op": "campaign", "received": 1.0, "status": "ok", "elected": True, "token": token, "candidate": name} for token, name in RECORDS]


@pytest.mark.parametrize("words, records", [("after token 7", [*RECORDS, (5, "m1")]), ("never led", [*RECORDS, (8, "m2")]), ("never led", [(5, "m2")])])
def test_a_file_that_is_wrong_is_named(words, records):
    assert crowd.judge_file(RECORDS, OPERATIONS) == []
    assert any(words in line for line in crowd.judge_file(records, OPERATIONS))


def test_what_a_member_sees_inside_is_a_violation():
    outcome = crowd.CrowdOutcome(1)
    outcome.take([], [{"fault": "m1 leads inside on_stop"}, {"refused": 5}])
    assert outcome.found == ["crowd: m1 leads inside on_stop"] and outcome.refused == 1


def test_every_kind_of_fault_is_planned_and_a_seed_plans_the_same_again():
    def plan(seed):
        return [str(fault) for fault in crowd.CrowdPlan(seed, 60).faults]
    assert plan(1) == plan(1) != plan(2)
    kinds = {fault.what for seed in range(20) for fault in crowd.CrowdPlan(seed, 60).faults}
    assert kinds == {"stop_member", "kill_member", "stop_node", "kill_node", "empty_node"}
    assert all(hasattr(crowd.CrowdFaults, kind) for kind in kinds)
