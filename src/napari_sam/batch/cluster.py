"""Clusters of dask.distributed: one of our own, closed to everybody else, or that of a scheduler somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from napari_sam.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster
    from distributed.security import Security

__all__ = ["open_client", "read_security", "start_cluster", "stop_workers"]

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10
TLS_KEYS = "ca-file, client.cert and client.key below distributed.comm.tls"


def start_cluster(workers: int, memory_limit: int) -> LocalCluster:
    """Start processes on this machine that no other user of it can speak with.

    Scheduler, workers and dashboard listen on 127.0.0.1 only. Who speaks with scheduler or workers needs the key that
    is made anew here and never leaves the memory of this process and its workers: who can give them work can run any
    code as this user. The dashboard only shows what goes on.

    Parameters
    ----------
    workers
        Number of processes, each with one thread.
    memory_limit
        Bytes for each of them.

    Raises
    ------
    InputError
        If `cryptography`, which makes the key, is missing.
    """
    from distributed import LocalCluster
    from distributed.security import Security

    if importlib.util.find_spec("cryptography") is None:
        raise InputError(
            "Several workers need the package cryptography to keep strangers out: pip install cryptography, or take "
            "one worker."
        )
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=memory_limit,
        host=LOOPBACK,
        protocol="tls://",
        security=Security.temporary(),
        dashboard_address=f"{LOOPBACK}:0",
        silence_logs=50,
    )


def stop_workers(cluster: LocalCluster) -> None:
    """Kill what the processes of a cluster from `start_cluster` are at; it starts others in their place."""
    for nanny in list(cluster.workers.values()):
        with contextlib.suppress(psutil.NoSuchProcess):
            if nanny.pid:
                psutil.Process(nanny.pid).kill()


def open_client(cluster: LocalCluster | str, security: str | Path | Security | None = None) -> Client:
    """Connect with a cluster.

    Parameters
    ----------
    cluster
        From `start_cluster`, or the address of a scheduler, as "tls://10.0.0.1:8786".
    security
        Of the scheduler at that address: a file for `read_security`, or a `distributed.Security`; None for none.

    Raises
    ------
    InputError
        If there is no such scheduler, it wants other credentials, or the file cannot be used.
    """
    from distributed import Client

    if not isinstance(cluster, str):
        return Client(cluster, timeout=CONNECT_SECONDS, security=cluster.security)
    known = read_security(security) if isinstance(security, str | Path) else security
    if known is not None and "://" in cluster and not cluster.startswith("tls://"):
        raise InputError(
            f"A security file is given, but the scheduler's address is {cluster}: give one that begins with tls://."
        )
    try:
        return Client(cluster, timeout=CONNECT_SECONDS, security=known)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        if cluster.startswith("tls://") and known is None:
            raise InputError(
                f"The Dask scheduler at {cluster} speaks TLS: give its certificates with --scheduler-security FILE."
            ) from error
        what = " with these certificates" if known is not None else ""
        raise InputError(
            f"There is no Dask scheduler at {cluster} that lets us in{what} ({_reason(error)}): start one, or give its "
            "address and its security file."
        ) from error


def read_security(path: str | Path) -> Security:
    """Read the certificates with which a scheduler lets us in.

    Parameters
    ----------
    path
        YAML or JSON as Dask's own configuration has it: `ca-file`, `client.cert` and `client.key` below
        `distributed.comm.tls`, or a file with these at the top. Relative paths begin where the file lies; `key` may be
        left out where the certificate's file holds it.

    Raises
    ------
    InputError
        If it cannot be read, or something is missing or no certificate.
    """
    import yaml
    from distributed.security import Security

    path = Path(path).expanduser()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no security file {path}: give the YAML with {TLS_KEYS}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"Cannot read the security file {path} ({_reason(error)}): give YAML with {TLS_KEYS}."
        ) from error
    tls = content
    for part in ("distributed", "comm", "tls"):
        tls = tls.get(part, tls) if isinstance(tls, Mapping) else {}
    client = tls.get("client") if isinstance(tls, Mapping) else None
    if not isinstance(client, Mapping) or not tls.get("ca-file") or not client.get("cert"):
        raise InputError(f"The security file {path} lacks certificates: give {TLS_KEYS}.")
    files = {"tls_ca_file": tls["ca-file"], "tls_client_cert": client["cert"]}
    files |= {"tls_client_key": client["key"]} if client.get("key") else {}
    found = {name: path.parent.absolute() / Path(str(file)).expanduser() for name, file in files.items()}
    for file in found.values():
        if not file.is_file():
            raise InputError(f"The security file {path} names {file}, which is not there: give {TLS_KEYS}.")
    security = Security(require_encryption=True, **{name: str(file) for name, file in found.items()})
    try:
        security.get_connection_args("client")  # reads the files
    except (OSError, ssl.SSLError, ValueError) as error:
        raise InputError(
            f"The security file {path} names certificates that cannot be used ({_reason(error)}): give PEM files that "
            "belong together."
        ) from error
    return security


def _reason(error: BaseException) -> Any:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
