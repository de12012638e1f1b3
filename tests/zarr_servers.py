"""Real servers on this machine: a folder over HTTP, and S3."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, asked: list[str], **kwargs: Any) -> None:
        self.asked = asked
        super().__init__(*args, **kwargs)

    def send_head(self) -> Any:
        self.asked.append(f"{self.command} {self.path}")
        if "forbidden" in self.path:
            self.send_error(403)
            return None
        if "broken" in self.path:
            self.send_error(500)
            return None
        return super().send_head()

    def log_message(self, *args: object) -> None:  # keeps the tests' output clean
        return


@contextmanager
def http_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; yield its address and the growing list of what was asked for ("GET /path")."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder), asked=asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def s3_server(monkeypatch: Any, bucket: str) -> Iterator[Any]:
    """Serve an empty bucket by moto and let fsspec and botocore find it; yield a boto3 client."""
    import boto3
    import requests
    from fsspec.config import conf
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()  # what an earlier server of this process held is forgotten
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(conf, "s3", {"endpoint_url": address})
    requests.post(f"{address}/moto-api/reset", timeout=10).raise_for_status()
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket=bucket)
    try:
        yield client
    finally:
        server.stop()


def upload(client: Any, bucket: str, folder: Path, prefix: str, *, public: bool = False) -> None:
    """Copy a folder into a bucket."""
    access = {"ACL": "public-read"} if public else {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        client.upload_file(str(file), bucket, f"{prefix}/{file.relative_to(folder).as_posix()}", ExtraArgs=access)
