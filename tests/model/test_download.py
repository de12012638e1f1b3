"""Downloads against a real server that cuts, lies, is missing, is slow; and files that are already there."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from napari_sam.errors import CheckpointError, DownloadError, InputError, OperationCancelled
from napari_sam.model import weights_files
from napari_sam.model.download import Patience, fetch_model
from napari_sam.model.registry import ModelRow, find_model
from napari_sam.model.weights_files import find_file, import_model, verify_file

CONTENT = np.random.default_rng(0).bytes(3_000_000)
QUICK = Patience(connect=0.5, stall=0.5, window=2.0, attempts=2)
HASH = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    requests: list[tuple[str, str | None]]
    cuts: int

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).requests.append((self.path, wanted))
        kind = self.path.strip("/").split("/")[0]
        if kind == "missing":
            self.send_error(404)
            return
        body = CONTENT if kind != "wrong" else CONTENT[::-1]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and kind != "norange" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if kind in ("cut", "norange") and type(self).cuts > 0:
            type(self).cuts -= 1
            self.wfile.write(rest[: len(rest) // 3])
            self.wfile.flush()
            self.connection.close()
            return
        if kind == "stall":
            self.wfile.write(rest[:1000])
            self.wfile.flush()
            time.sleep(1.5)
            return
        if kind == "slow":
            for i in range(0, len(rest), 300_000):
                self.wfile.write(rest[i : i + 300_000])
                time.sleep(0.02)
            return
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.requests, Handler.cuts = [], 1
    with Server(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights_files, "other_folders", lambda: (tmp_path / "others",))
    return tmp_path


def row(*urls: str, known_hash: str = HASH) -> ModelRow:
    return ModelRow(
        name="m", architecture="vit_b", urls=urls, known_hash=known_hash, file="m.pth", other_names=("m_b",)
    )


def leftovers(folders: Path) -> list[str]:
    return sorted(file.name for file in (folders / "cache" / "models").glob("m.pth*"))


def test_a_good_server_gives_the_file_once(server, folders):
    seen = []
    file = fetch_model(row(f"{server}/slow/m.pth"), progress=lambda done, total: seen.append((done, total)))
    assert file.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert fetch_model(row(f"{server}/slow/m.pth")) == file
    assert len(Handler.requests) == 1
    assert leftovers(folders) == ["m.pth"]


def test_a_cut_connection_is_resumed_where_it_broke(server):
    file = fetch_model(row(f"{server}/cut/m.pth"))
    assert file.read_bytes() == CONTENT
    assert Handler.requests[0][1] is None
    start = int(str(Handler.requests[1][1]).removeprefix("bytes=").rstrip("-"))
    assert 0 < start < len(CONTENT)


def test_a_server_that_cannot_resume_starts_again(server):
    assert fetch_model(row(f"{server}/norange/m.pth")).read_bytes() == CONTENT


def test_a_stopped_download_goes_on_in_a_later_session(server):
    def stop(done: int, total: int) -> None:
        if done > 1_000_000:
            raise OperationCancelled("stopped")

    with pytest.raises(OperationCancelled):
        fetch_model(row(f"{server}/slow/m.pth"), progress=stop)
    assert find_file(row(f"{server}/slow/m.pth")) is None
    assert fetch_model(row(f"{server}/slow/m.pth")).read_bytes() == CONTENT
    assert str(Handler.requests[-1][1]).startswith("bytes=")


def test_the_next_mirror_is_tried_after_404_and_wrong_bytes(server, folders):
    file = fetch_model(row(f"{server}/missing/m.pth", f"{server}/wrong/m.pth", f"{server}/good/m.pth"))
    assert file.read_bytes() == CONTENT
    assert [path.split("/")[1] for path, _ in Handler.requests] == ["missing", "wrong", "good"]
    assert leftovers(folders) == ["m.pth"]


@pytest.mark.parametrize(("kind", "says"), [("missing", "404"), ("wrong", "hash"), ("stall", "stalled|broke")])
def test_failure_is_one_sentence_with_address_hash_and_place(server, folders, kind, says):
    url = f"{server}/{kind}/m.pth"
    with pytest.raises(DownloadError, match=says) as caught:
        fetch_model(row(url), patience=QUICK)
    message = str(caught.value)
    assert "\n" not in message
    for part in (url, HASH, str(folders / "cache" / "models" / "m.pth")):
        assert part in message
    assert "m.pth" not in leftovers(folders)


def test_no_server_at_all_is_the_same_sentence():
    with pytest.raises(DownloadError, match="connection"):
        fetch_model(row("http://127.0.0.1:9/m.pth"))


def test_a_verified_copy_of_another_tool_is_used_where_it_lies(folders):
    (folders / "others").mkdir()
    copy = folders / "others" / "m_b"
    copy.write_bytes(CONTENT)
    assert fetch_model(row("http://127.0.0.1:9/m.pth")) == copy
    copy.write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError):
        fetch_model(row("http://127.0.0.1:9/m.pth"))


def test_a_registered_file_is_imported_by_its_hash(folders, monkeypatch):
    good, bad = folders / "good.bin", folders / "bad.bin"
    good.write_bytes(CONTENT)
    bad.write_bytes(CONTENT[:100])
    monkeypatch.setattr(weights_files, "find_model", lambda name, kind: row("http://127.0.0.1:9/m.pth"))
    with pytest.raises(InputError, match=HASH):
        import_model("m", bad)
    import_model("m", good)
    assert fetch_model(row("http://127.0.0.1:9/m.pth")).read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "xxh128"])
def test_every_published_kind_of_hash_is_verified(folders, algorithm):
    import xxhash

    digest = xxhash.xxh128_hexdigest(CONTENT) if algorithm == "xxh128" else hashlib.new(algorithm, CONTENT).hexdigest()
    file = folders / "m.pth"
    file.write_bytes(CONTENT)
    assert verify_file(file, row(known_hash=f"{algorithm}:{digest}"))
    file.write_bytes(CONTENT + b"x")
    assert not verify_file(file, row(known_hash=f"{algorithm}:{digest}"))


def test_users_models_join_the_list(folders):
    import torch

    from napari_sam.model.build import build_model
    from napari_sam.model.load import load_model

    weights = build_model("cells", seed=5).state_dict()
    file = folders / "mine.pth"
    torch.save(weights, file)
    import_model("my_cells", file)
    assert find_model("my_cells").architecture == "cells"
    model = load_model("my_cells")
    assert model.name == "my_cells"
    assert torch.equal(model.state_dict()["mask_decoder.iou_token.weight"], weights["mask_decoder.iou_token.weight"])
    with pytest.raises(InputError, match="belongs to the bundled"):
        import_model("cells", file)
    with pytest.raises(InputError, match="not usable"):
        import_model("../evil", file)
    file.write_bytes(b"no weights")
    with pytest.raises(CheckpointError):
        import_model("other", file)
