import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from kubeapi import KubeApi  # noqa: E402


@pytest.fixture
def kube_servers():
    """Makes test API servers: kube_servers(tokens={"t": "user"}, ...). They end with the test."""
    made = []

    def make(**options):
        made.append(KubeApi(**options))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def kube(kube_servers):
    """One test API server that lets everybody do everything, over plain HTTP."""
    return kube_servers()


@pytest.fixture
def electors(tmp_path):
    """Makes electors: electors(kube, "pod-1", strategy="renew", ...), with a pod object for each. Those that still run at the end of the
    test are stopped, and must end cleanly."""
    import json

    import apiserver
    from elector import Elector, pod
    made = []

    def make(kube, name, token=None, ca=None, with_pod=True, **flags):
        config = tmp_path / f"{name}.kubeconfig"
        config.write_text(json.dumps(apiserver.kubeconfig(kube, token, ca)))
        if with_pod:
            kube.put(pod(name))
        made.append(Elector(tmp_path / name, name, config, **flags))
        return made[-1].start()

    yield make
    for elector in made:
        elector.stop()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """ca.crt, server.crt/.key (127.0.0.1), client.crt/.key (CN=client, O=testers), other-ca.crt."""
    home = tmp_path_factory.mktemp("pki")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=home, check=True, capture_output=True)

    def ca(name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.crt")

    def signed(name, subject, extension):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout", f"{name}.key",
                "-out", f"{name}.csr")
        (home / f"{name}.ext").write_text(extension)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
                f"{name}.ext", "-out", f"{name}.crt")

    ca("ca")
    ca("other-ca")
    signed("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kube-apiserver.test\n")
    signed("client", "/O=testers/CN=client", "extendedKeyUsage=clientAuth\n")
    return home
