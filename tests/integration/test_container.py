"""deploy/Dockerfile against the programs: no image is built here, but what it installs and starts is what they need."""
import pathlib
import re
import subprocess

import pytest

from harness.agent import BUILD
from test_tour import ROOT

STAGES = {name: text for name, text in re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", (ROOT / "deploy/Dockerfile").read_text(), re.M | re.S)}


def packages(program):
    """Of the shared libraries that it names itself; what these need, they bring."""
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout)
    paths = dict(re.findall(r"^\s*(\S+) => (\S+)", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout, re.M))
    files = [str(pathlib.Path(paths[name]).resolve()) for name in needed if name in paths]
    owners = subprocess.run(["dpkg-query", "-S", *(re.sub(r"^/usr/lib/", "*/lib/", file) for file in files)], capture_output=True, text=True, check=True)
    return {line.split(":")[0] for line in owners.stdout.splitlines()} - {"libc6", "libgcc-s1"}


@pytest.mark.parametrize("program", ["election-agent", "elector"])
def test_an_image_has_what_its_program_loads_and_no_more(program):
    stage = STAGES[program]
    installed = set(re.search(r"apt-get install -y --no-install-recommends (.*?)&&", stage, re.S)[1].replace("\\", " ").split())
    assert installed - {"ca-certificates"} == packages(BUILD / program)
    assert f"COPY --from=build /out/usr/bin/{program} /usr/bin/\n" in stage
    assert f'ENTRYPOINT ["/usr/bin/{program}"]' in stage
    assert "USER 65532:65532\n" in stage


def test_the_document_builds_the_images_that_the_manifests_name():
    commands = re.findall(r"docker build -f deploy/Dockerfile --target (\S+) -t (\S+) \.", (ROOT / "docs/run.md").read_text())
    assert dict(commands) == {"election-agent": "election-agent:0.1.0", "elector": "elector:0.1.0"}
    assert set(STAGES) == {"build", *dict(commands)}
    assert "image: elector:0.1.0\n" in (ROOT / "deploy/examples/elector-sidecar.yaml").read_text()
    assert "newTag: 0.1.0\n" in (ROOT / "deploy/kustomize/base/kustomization.yaml").read_text()
