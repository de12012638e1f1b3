"""Clusters of our own are closed to everybody else; those of others let us in by a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from distributed import LocalCluster
from distributed.security import Security

from napari_sam.batch.cluster import read_security
from napari_sam.batch.executor import DaskExecutor, open_executor
from napari_sam.errors import InputError

STRANGER = """
import sys
from distributed import Client
from distributed.security import Security
security = Security.temporary() if sys.argv[2] == "forged" else None
try:
    client = Client(sys.argv[1], timeout=4, security=security)
except (OSError, TypeError, RuntimeError) as error:
    sys.exit(f"refused: {error}")
print(client.submit(lambda: "I ran", pure=False).result(timeout=20))
"""


def stranger(address: str, kind: str) -> subprocess.CompletedProcess[str]:
    """Let another process of this machine give work to a cluster."""
    return subprocess.run([sys.executable, "-c", STRANGER, address, kind], capture_output=True, text=True, timeout=120)


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    """List the sockets of a process and its children that take connections from a network."""
    everyone = [process, *process.children(recursive=True)]
    return [tuple(c.laddr) for p in everyone for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]


def test_own_workers_listen_on_loopback_only_and_speak_with_nobody_else() -> None:
    before = set(listening(psutil.Process()))
    with open_executor(2) as executor:
        assert isinstance(executor, DaskExecutor)
        opened = set(listening(psutil.Process())) - before
        assert len(opened) >= 3  # scheduler and two workers
        assert {address for address, _ in opened} == {"127.0.0.1"}
        scheduler = executor._client.scheduler_info(n_workers=-1)
        for address in (executor._client.scheduler.address, *scheduler["workers"]):
            assert address.startswith("tls://127.0.0.1:")
        address = executor._client.scheduler.address
        for strange, kind in ((address, "forged"), (address.replace("tls://", "tcp://"), "none")):
            came = stranger(strange, kind)
            assert came.returncode == 1
            assert "refused" in came.stderr
        assert [outcome.value for outcome in executor.run(abs, [("a", (-1,))])] == [1]  # who belongs to it goes on
        first = executor._client.security.tls_client_key
    with open_executor(2) as again:
        assert isinstance(again, DaskExecutor)
        assert again._client.security.tls_client_key != first


@pytest.fixture(scope="module")
def closed_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a cluster with TLS, and the file that lets its owner in, with paths relative to it."""
    folder = tmp_path_factory.mktemp("certificates")
    security = Security.temporary()
    for name, content in (("ca", security.tls_ca_file), ("key", security.tls_client_key)):
        (folder / f"{name}.pem").write_text(content)
    (folder / "cert.pem").write_text(security.tls_client_cert)
    tls = {"ca-file": "ca.pem", "client": {"cert": "cert.pem", "key": str(folder / "key.pem")}}
    file = folder / "dask.yaml"
    file.write_text(yaml.safe_dump({"distributed": {"comm": {"require-encryption": True, "tls": tls}}}))
    (folder / "short.yaml").write_text(yaml.safe_dump(tls))
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        host="127.0.0.1",
        security=security,
        protocol="tls://",
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as cluster:
        yield cluster.scheduler_address, file


def test_a_security_file_lets_us_in_and_nothing_else_does(
    closed_cluster: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, file = closed_cluster
    for known in (file, str(file.with_name("short.yaml")), read_security(file)):
        with open_executor(scheduler=address, security=known) as executor:
            assert [outcome.value for outcome in executor.run(abs, [("a", (-3,))])] == [3]
    monkeypatch.setattr("napari_sam.batch.cluster.CONNECT_SECONDS", 3)
    with pytest.raises(InputError, match="speaks TLS: give its certificates"), open_executor(scheduler=address):
        pass
    with (
        pytest.raises(InputError, match="lets us in with these certificates"),
        open_executor(scheduler=address, security=Security.temporary()),
    ):
        pass
    with (
        pytest.raises(InputError, match="begins with tls://"),
        open_executor(scheduler=address.replace("tls", "tcp"), security=file),
    ):
        pass
    with pytest.raises(InputError, match="without a scheduler"), open_executor(2, security=file):
        pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no security file"),
        ("a: [", "Cannot read the security file"),
        ("- 1", "lacks certificates"),
        ("ca-file: ca.pem", "lacks certificates"),
        ("distributed: {comm: {tls: 3}}", "lacks certificates"),
        ("{ca-file: ca.pem, client: {cert: gone.pem}}", r"gone\.pem, which is not there"),
        ("{ca-file: ca.pem, client: {cert: ca.pem}}", "cannot be used"),
    ],
)
def test_an_unusable_security_file_is_one_sentence(tmp_path: Path, content: str | None, said: str) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    if content is not None:
        (tmp_path / "dask.yaml").write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        read_security(tmp_path / "dask.yaml")
    assert "\n" not in str(caught.value)
