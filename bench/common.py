"""What the benchmarks share: processor time, memory, nginx for comparison, and the load programs."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from harness.agent import BUILD, Agent, free_port, wait_for  # noqa: E402, F401

TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 100


def cpu_seconds(pid):
    """User and system time of all threads, to the nanosecond where the kernel tells it."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            pass
    if total:
        return total / 1e9
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid):
    """(RSS, RssAnon) in MiB."""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return tuple(int(status[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))


class Nginx:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.http_port, self.h2_port = free_port(), free_port()
        conf = self.directory / "nginx.conf"
        conf.write_text(f"""
worker_processes 1;
daemon off;
pid {self.directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    client_body_temp_path {self.directory}/body;
    proxy_temp_path {self.directory}/proxy;
    fastcgi_temp_path {self.directory}/fastcgi;
    uwsgi_temp_path {self.directory}/uwsgi;
    scgi_temp_path {self.directory}/scgi;
    default_type application/json;
    server {{ listen 127.0.0.1:{self.http_port}; location / {{ return 200 '{{"elected":true,"leader":"candidate-0","kind":"default"}}'; }} }}
    server {{ listen 127.0.0.1:{self.h2_port} http2; location / {{ return 200 'elected by nginx, 32 bytes long..'; }} }}
}}
""")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(conf), "-p", str(self.directory)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.worker, "nginx's worker")
        wait_for(self.answers, "nginx to answer")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.http_port), 1).close()
            return True
        except OSError:
            return False

    def worker(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pid = int(children[0]) if children else None
        return self.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wrk(url, seconds, body=None, method="GET", threads=1, directory="."):
    script = pathlib.Path(directory) / "wrk.lua"
    script.write_text(f"""
wrk.method = "{method}"
wrk.headers["Content-Type"] = "application/json"
{f"wrk.body = '{body}'" if body else ""}
done = function(summary, latency, requests)
    io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
""")
    out = subprocess.run(["wrk", f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url], check=True,
                         capture_output=True, text=True).stdout
    n, microseconds, p50, p99, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out).groups())
    if errors:
        raise SystemExit(f"wrk counted {errors} errors at {url}")
    return {"requests": n, "seconds": microseconds / 1e6, "p50": p50 / 1000, "p99": p99 / 1000}


def h2load(url, seconds, message=None, threads=1, directory="."):
    command = ["h2load", f"-t{threads}", f"-c{CONNECTIONS}", "-m1", f"-D{seconds}", "--warm-up-time=1"]
    log = pathlib.Path(directory) / "h2load.log"
    log.unlink(missing_ok=True)
    command += [f"--log-file={log}"]
    if message is not None:
        file = pathlib.Path(directory) / "message.bin"
        file.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        command += ["-d", str(file), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    out = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    n = int(re.search(r"(\d+) succeeded", out)[1])
    failed = int(re.search(r"(\d+) failed", out)[1])
    if failed > CONNECTIONS:  # those in flight at the end count as failed
        raise SystemExit(f"h2load counted {failed} failures at {url}\n{out}")
    times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    rate = float(re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", out)[1])
    return {"requests": n, "seconds": n / rate, "p50": times[len(times) // 2] / 1000, "p99": times[int(len(times) * 0.99)] / 1000}
