"""The program as its operator sees it: settings, messages, exit codes, signals, logs, metrics."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness.agent import BUILD, SLOW, free_port, wait_for

PROGRAM = str(BUILD / "election-agent")


def run(*args, cwd=None, **env):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=20 * SLOW, cwd=cwd,
                          env={"PATH": os.environ["PATH"], **{k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}, **env})


def test_help_version_print_and_check(tmp_path):
    help_text = run("--help")
    assert help_text.returncode == 0 and "--grpc.port" in help_text.stdout and "EA_GRPC_PORT" in help_text.stdout
    assert re.match(r"election-agent \d+\.\d+\.\d+", run("--version").stdout)
    printed = run("--print-config", "--lease.min_term=300ms", EA_ENV="development")
    assert printed.returncode == 0 and "300ms" in printed.stdout and "50051" in printed.stdout
    file = tmp_path / "config.yaml"
    file.write_text(printed.stdout)
    again = run("--print-config", EA_CONFIG_FILE=str(file))
    # The comments say where a value came from, which differs.
    assert re.sub(r" *#.*", "", again.stdout) == re.sub(r" *#.*", "", printed.stdout)
    assert run("--check-config", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("args, env, words", [
    (["--grpc.prot=1"], {}, ["grpc.prot", "grpc.port"]),
    (["--grpc.port=70000"], {}, ["grpc.port", "70000", "65535"]),
    ([], {"EA_LEASE_MIN_TERM": "fast"}, ["EA_LEASE_MIN_TERM", "fast"]),
    ([], {"EA_LEASE_MIN_TERM": "10ms"}, ["EA_LEASE_MIN_TERM", "100ms"]),
    ([], {"EA_REDIS_URLS": "redis://a,redis://b"}, ["redis.urls", "odd"]),
    ([], {"EA_TLS_CERT": "/x"}, ["EA_TLS_CERT"]),
    ([], {"EA_ENV": "prod"}, ["EA_ENV", "production"]),
    ([], {"EA_ENV": "prod\x1b"}, ["EA_ENV", "prod"]),
])
def test_a_wrong_setting_is_named_with_what_would_be_right(args, env, words):
    result = run("--check-config", *args, **env)
    assert result.returncode == 78
    for word in words:
        assert word in result.stderr, result.stderr
    assert "\x1b" not in result.stderr


def test_an_unknown_variable_is_a_warning_only():
    result = run("--check-config", EA_SERVICE_PORT="80")
    assert result.returncode == 0 and "EA_SERVICE_PORT" in result.stderr


def test_a_file_wins_over_the_environment_and_a_flag_over_both(tmp_path):
    file = tmp_path / "agent.yaml"
    file.write_text("http:\n  port: 1111\n")
    assert "1111" in run("--print-config", EA_HTTP_PORT="2222", EA_CONFIG_FILE=str(file)).stdout
    assert "3333" in run("--print-config", "--http.port=3333", EA_HTTP_PORT="2222", EA_CONFIG_FILE=str(file)).stdout


def test_a_busy_port_is_named(agents):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        agent = agents(GRPC_PORT=s.getsockname()[1]).spawn()
        assert agent.process.wait(20 * SLOW) == 75
        agent.reader.join()
        assert any(str(agent.grpc_port) in line for line in agent.log), agent.log
        agent.process = None


def test_sigterm_finishes_what_runs_and_ends_with_0(agents):
    agent = agents().start()
    agent.json("POST", "/election/job", {"candidate": "a", "term": 60000})
    agent.stop()
    assert agent.process.returncode == 0
    agent.start()
    assert agent.json("GET", "/election/job")[1]["leader"] == "a"


def test_sigterm_ends_idle_connections_at_once(agents):
    agent = agents(THREADS=2).start()
    idle = [socket.create_connection(("127.0.0.1", agent.http_port)) for _ in range(20)]
    for s in idle:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in s.recv(1000)
    agent.stop(seconds=5)
    assert all(s.recv(10) == b"" for s in idle)
    for s in idle:
        s.close()


def test_sighup_takes_over_what_can_change_and_says_what_needs_a_restart(agents, tmp_path):
    file = tmp_path / "agent.yaml"
    file.write_text("log_level: info\n")
    agent = agents(CONFIG_FILE=file).start()
    file.write_text("log_level: warning\nthreads: 7\n")
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: any("threads" in line and "restart" in line for line in agent.log), "the reload")
    file.write_text("log_level: debug\nlog_level: info\n")
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: any("not reloaded" in line for line in agent.log), "the refused reload")
    assert agent.ready()


def test_sigusr1_writes_the_flight_recorder(agent):
    agent.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: any('"flight"' in line for line in agent.log), "the flight recorder")


def test_log_lines_are_json_with_time_and_level_and_none_per_request(agents):
    agent = agents().start()
    for i in range(50):
        agent.json("POST", f"/election/e{i}", {"candidate": 'evil"\n\x1b', "term": 10000})
        agent.json("POST", f"/election/e{i}", {"candidate": "a", "term": 10000})
    agent.stop()
    events = [json.loads(line) for line in agent.log]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"]) and e["level"] and e["message"] for e in events)
    assert len(events) < 20, agent.log


def test_metrics_count_what_happened(agent):
    agent.json("POST", "/election/k/job", {"candidate": "a", "term": 60000})
    agent.json("POST", "/election/k/job", {"candidate": "b", "term": 60000})
    agent.json("PATCH", "/election/k/job", {"leader": "a", "term": 60000})
    agent.json("GET", "/election/k/job")
    assert agent.metric("election_agent_request_duration_seconds_count", action="campaign", status="success") == 2
    assert agent.metric("election_agent_request_duration_seconds_count", action="extend_elected_term", status="success") == 1
    assert agent.metric("election_agent_request_duration_seconds_bucket", action="get_leader", le="+Inf") == 1
    assert agent.metric("election_agent_requests_in_flight", action="campaign") == 0
    assert agent.metric("election_agent_elections", kind="k") == 1
    assert agent.metric("election_agent_leader_changes_total", kind="k", reason="elected") == 1
    assert agent.metric("election_agent_unavailable_total") == 0
    assert agent.metric("election_agent_store_node_state", state="up") == 1
    assert agent.metric("election_agent_build_info") == 1
    assert agent.metric("process_resident_memory_bytes") > 1e6
    agent.json("DELETE", "/election/k/job", {"leader": "a"})
    assert agent.metric("election_agent_elections", kind="k") == 0
    assert agent.metric("election_agent_leader_changes_total", kind="k", reason="resigned") == 1


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_promtool_accepts_the_page(agent, accept):
    agent.json("POST", '/election/job', {"candidate": "a", "term": 60000})
    page = agent.http("GET", "/metrics", headers={"Accept": accept})[2]
    if accept == "text/plain":
        result = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_real_prometheus_scrapes_it(agents, tmp_path):
    import urllib.request
    agent = agents(THREADS=2).start()
    agent.json("POST", "/election/job", {"candidate": "a", "term": 600000})
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: election-agent
    static_configs: [{{targets: ['127.0.0.1:{agent.http_port}']}}]
""")
    prometheus = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
                                   f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def ask():
            try:
                url = f"http://127.0.0.1:{port}/api/v1/query?query=election_agent_elections"
                result = json.load(urllib.request.urlopen(url, timeout=2))["data"]["result"]
                return result and result[0]["value"][1] == "1"
            except OSError:
                return False
        wait_for(ask, "Prometheus to have scraped the agent", 30)
    finally:
        prometheus.terminate()
        prometheus.wait()


def test_the_admin_port_has_probes_and_metrics_and_no_elections(agents):
    import urllib.error
    import urllib.request
    port = free_port()
    agents(ADMIN_PORT=port).start()

    def status(path, method="GET"):
        try:
            return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
    assert [status(p) for p in ("/livez", "/readyz", "/metrics", "/election/job")] == [200, 200, 200, 404]


def test_a_unix_socket_serves_both_protocols(agents, tmp_path):
    import grpc

    from harness import proto
    pb, stubs = proto.load()
    path = tmp_path / "agent.sock"
    agent = agents(BIND=f"unix:{path}").spawn()

    def answers():
        return path.exists() and subprocess.run(["curl", "-sf", "--unix-socket", str(path), "http://x/readyz"], capture_output=True).returncode == 0
    wait_for(answers, "the socket to answer")
    with grpc.insecure_channel(f"unix:{path}") as channel:
        assert stubs.ElectionStub(channel).Campaign(pb.CampaignRequest(election="job", candidate="a", term=5000)).elected
    agent.stop()


def test_one_port_for_both(agents):
    import grpc

    from harness import proto
    pb, stubs = proto.load()
    port = free_port()
    agent = agents(GRPC_PORT=port, HTTP_PORT=port).start()
    with grpc.insecure_channel(agent.grpc_target) as channel:
        assert stubs.ElectionStub(channel).Campaign(pb.CampaignRequest(election="job", candidate="a", term=5000)).elected
    assert agent.json("GET", "/election/job")[1]["leader"] == "a"


def test_more_connections_than_the_limit_are_closed_and_the_rest_lives(agents):
    agent = agents(LIMIT_CONNECTIONS=10, ADMIN_PORT=free_port()).start()
    held = []
    refused = 0
    for _ in range(30):
        s = socket.create_connection(("127.0.0.1", agent.http_port))
        try:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            if b"200" in s.recv(1000):
                held.append(s)
                continue
        except OSError:
            pass
        refused += 1
        s.close()
    assert refused >= 15 and 5 <= len(held) <= 12
    for s in held:
        s.close()
    wait_for(agent.ready, "room again")


def test_over_the_rate_the_answer_is_429(agents):
    agent = agents(LIMIT_RATE=5).start()
    statuses = [agent.http("GET", "/election/job")[0] for _ in range(40)]
    assert 429 in statuses and 404 in statuses
    assert agent.http("GET", "/livez")[0] == 200


def test_memory_of_its_own_at_rest_is_small(agents):
    from harness.agent import VARIANT
    agent = agents(EMBEDDED_PATH=":memory:").start()
    if VARIANT == "release":
        assert agent.memory() < 4 * 1024 * 1024
    else:
        assert agent.memory() > 0


def test_signals_that_keep_coming_do_not_change_how_it_ends(agents):
    agent = agents(THREADS=2).start()
    for _ in range(3):
        agent.json("POST", "/election/job", {"candidate": "a", "term": 60000})
    agent.process.send_signal(signal.SIGTERM)
    while agent.process.poll() is None:
        agent.process.send_signal(signal.SIGTERM)
    agent.reader.join()
    assert agent.process.returncode == 0, agent.log
