"""docs/elector.md tells the truth: its examples against real electors, its table of flags against --help."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from elector import BUILD, SLOW, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "elector"


def i_lead(elector, name=None):
    env = {**os.environ, "ELECTOR_GET_URL": elector.url, "POD_NAME": name or elector.name}
    return subprocess.run([str(EXAMPLES / "i-lead.sh")], env=env, capture_output=True, timeout=20 * SLOW).returncode


class Application:
    """An example that follows /sse, as the pod of its elector."""

    def __init__(self, command, elector):
        env = {**os.environ, "ELECTOR_SSE_URL": elector.url + "sse", "POD_NAME": elector.name}
        self.said = []
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    def says(self, *words):
        """First of all this; an elector that is going may still have told who leads now."""
        wait_for(lambda: self.said[:len(words)] == list(words), f"{words}, not {self.said}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20 * SLOW) == 0
        self.reader.join(5)


@pytest.fixture(params=[[sys.executable, str(EXAMPLES / "leader.py")], ["node", str(EXAMPLES / "leader.mjs")]], ids=["python", "javascript"])
def applications(request):
    made = []

    def make(elector):
        made.append(Application(request.param, elector))
        return made[-1]

    yield make
    for application in made:
        if application.process.poll() is None:
            application.process.kill()
            application.process.wait()


def test_an_application_hears_that_it_leads_and_that_it_leads_no_more(kube, electors, applications):
    first = electors(kube, "pod-0", strategy="renew")
    wait_for(first.leads, "it leads")
    second = electors(kube, "pod-1", strategy="renew")
    one, other = applications(first), applications(second)
    one.says("I, pod-0, lead")
    other.says("pod-0 leads")
    first.stop()
    one.says("I, pod-0, lead", "I lead no more")
    other.says("pod-0 leads", "I, pod-1, lead")
    one.interrupt()
    other.interrupt()


def test_an_application_that_cannot_hear_its_elector_leads_no_more(kube, electors, applications):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    application = applications(elector)
    application.says("I, pod-0, lead")
    elector.kill()
    application.says("I, pod-0, lead", "I lead no more")
    application.interrupt()


def test_the_shell_example_tells_leading_from_following_and_from_not_knowing(kube, electors):
    kube.fault(status=503)
    first = electors(kube, "pod-0")
    assert i_lead(first) == 2
    kube.heal()
    wait_for(first.leads, "it leads")
    second = electors(kube, "pod-1")
    wait_for(lambda: second.leader == "pod-0", "the other knows")
    assert (i_lead(first), i_lead(second)) == (0, 1)
    assert i_lead(first, "pod") == 1, "the beginning of a name is not the name"
    first.kill()
    assert i_lead(first) == 2


COMPILED = {
    "c": ("leader.c", lambda source: ["cc", "-Wall", "-Werror", source, "-o", source.with_suffix(""), "-lcurl"], lambda source: [source.with_suffix("")]),
    "java": ("Leader.java", lambda source: ["javac", source], lambda source: ["java", "-cp", source.parent, "Leader"]),
}


@pytest.mark.parametrize("language", [language for language in COMPILED if language != "java" or shutil.which("javac")])
def test_an_example_of_the_document_tells_whether_its_host_leads(kube, electors, tmp_path, language):
    name, compiler, command = COMPILED[language]
    source = tmp_path / name
    document = (ROOT / "docs" / "elector.md").read_text()
    source.write_text(re.search(rf"```{language}\n(.*?)```", document, re.S)[1])
    subprocess.run(compiler(source), check=True)
    elector = electors(kube, socket.gethostname())
    wait_for(elector.leads, "it leads")

    def says():
        env = {**os.environ, "ELECTOR_GET_URL": elector.url}
        return subprocess.run(command(source), env=env, capture_output=True, text=True, check=True, timeout=20 * SLOW).stdout

    assert says() == "I lead\n"
    elector.kill()
    assert says() == "I do not lead\n"


def test_the_document_lists_every_flag_with_its_variable_and_its_default():
    told = subprocess.run([str(BUILD / "elector"), "--help"], capture_output=True, text=True, check=True).stdout
    flags = re.findall(r"^  --([a-z-]+)=.*\n      (.*)\n      (ELECTOR_[A-Z_]+)$", told, re.M)
    assert len(flags) >= 10
    document = (ROOT / "docs" / "elector.md").read_text()
    rows = {m[1]: m[0] for m in re.finditer(r"^\| `--([a-z-]+)`<br>.*$", document, re.M)}
    assert set(rows) == {flag for flag, _, _ in flags}
    for flag, text, variable in flags:
        assert f"<br>`{variable}` |" in rows[flag]
        default = re.search(r"\(default: (\S+)\)$", text)
        if default:
            assert f"| `{default[1]}` |" in rows[flag], flag


def test_the_document_shows_the_manifest_of_the_examples():
    document = (ROOT / "docs" / "elector.md").read_text()
    manifest = (ROOT / "deploy" / "examples" / "elector-sidecar.yaml").read_text()
    named = set(re.findall(r"\b(?:ELECTOR_[A-Z_]+|POD_NAME)\b", re.search(r"```yaml\n(.*?)```", document, re.S)[1]))
    assert len(named) >= 4
    assert named <= set(re.findall(r"name: ([A-Z_]+)$", manifest, re.M))
