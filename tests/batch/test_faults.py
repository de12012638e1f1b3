"""Jobs whose processes are killed, whose disk is full, whose image is damaged."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import threshold_segmenter
from disk_limit import disk_limit
from napari_sam.batch.journal import StorageError
from napari_sam.errors import InputError
from threshold_segmenter import ThresholdSegmenter, bits, blobs, read_labels, run, write_zarr

SHAPE = (2200, 300)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zarr(tmp_path_factory.mktemp("image") / "in.zarr", blobs(SHAPE))


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("expected") / "out.zarr"
    run(source, output)
    return bits(output)


def job(source: Path, output: Path) -> None:
    run(source, output)


def test_a_job_killed_at_many_random_moments_ends_in_the_same_bits(
    source: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    server = multiprocessing.get_context("forkserver")  # its processes begin with everything imported
    server.set_forkserver_preload(["napari_sam.batch.segment_zarr", "threshold_segmenter"])
    rng = np.random.default_rng(5)
    kills = 0
    for number in range(3):
        output = tmp_path / f"out{number}.zarr"
        journal = tmp_path / f"out{number}.zarr-cells.job" / "journal.jsonl"
        for _ in range(40):
            process = server.Process(target=job, args=(source, output))
            process.start()
            goal = lines(journal) + int(rng.integers(1, 20))
            while process.is_alive() and lines(journal) < goal:
                time.sleep(0.001)
            time.sleep(float(rng.uniform(0, 0.01)))  # in the middle of something
            process.kill()
            process.join()
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            kills += 1
        assert process.exitcode == 0
        run(source, output)
        assert bits(output) == expected
    assert kills >= 9


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_workers_killed_at_random_tiles_end_in_the_same_bits(
    source: Path, expected: dict[str, str], tmp_path: Path, scheduler: str
) -> None:
    log = tmp_path / "log"
    log.mkdir()
    deadly = tuple(np.random.default_rng(1).choice(24, 2, replace=False).tolist())
    last = run(
        source, tmp_path / "out.zarr", scheduler=scheduler, segmenter=ThresholdSegmenter(log=str(log), deadly=deadly)
    )
    assert last.failed == ()
    assert len(list(log.glob("died*"))) == 2
    assert bits(tmp_path / "out.zarr") == expected


def test_a_whole_job_with_its_workers_is_killed_and_finished_in_process(
    source: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    command = [sys.executable, threshold_segmenter.__file__, str(source), str(output), "2", "0.05"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    tiles = tmp_path / "out.zarr-cells.job" / "tiles"
    while process.poll() is None and (not tiles.exists() or len(list(tiles.glob("*.npz"))) < 3):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 3 <= len(list(tiles.glob("*.npz"))) < 24
    run(source, output, segmenter=ThresholdSegmenter(delay=0.05))
    assert bits(output) == expected


def test_a_damaged_chunk_fails_by_name_the_rest_is_done_and_the_next_run_mends_it(
    expected: dict[str, str], tmp_path: Path
) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs(SHAPE))
    chunk = source / "c" / "0" / "0"
    good = chunk.read_bytes()
    chunk.write_bytes(b"\x00damaged")
    log = tmp_path / "log"
    log.mkdir()
    last = run(source, tmp_path / "out.zarr", retries=2, segmenter=ThresholdSegmenter(log=str(log)))
    assert [unit.name for unit in last.failed] == ["rows 0-256, columns 0-256", "rows 0-256, columns 44-300"]
    assert "in.zarr" in last.failed[0].reason
    assert len(list(log.glob("seen*__0"))) == 3
    labels = read_labels(tmp_path / "out.zarr")
    assert labels[:150, :150].max() == 0
    assert labels[300:].max() > 20
    chunk.write_bytes(good)
    last = run(source, tmp_path / "out.zarr")
    assert last.failed == ()
    assert bits(tmp_path / "out.zarr") == expected


def test_a_damaged_or_lost_file_of_the_job_is_made_again(
    source: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    run(source, tmp_path / "out.zarr")
    folder = tmp_path / "out.zarr-cells.job"
    (folder / "tiles" / "0-3.npz").write_bytes(b"")
    (folder / "objects" / "0.npz").unlink()
    log = tmp_path / "log"
    log.mkdir()
    run(source, tmp_path / "out.zarr", segmenter=ThresholdSegmenter(log=str(log)))
    assert [path.name.rsplit("_")[-1] for path in log.iterdir()] == ["3"]
    assert bits(tmp_path / "out.zarr") == expected


@pytest.mark.parametrize("where", ["tiles", "journal", "labels"])
def test_a_full_disk_stops_the_job_in_one_sentence_and_nothing_is_lost(
    source: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    calls = []

    def full(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) > (0 if where == "labels" else 4):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **named)

    place, name = {
        "tiles": ("napari_sam.batch.units", "write_records"),
        "journal": ("napari_sam.batch.journal.os", "fsync"),
        "labels": ("napari_sam.io.label_store", "sync_chunks"),
    }[where]
    module = __import__(place.removesuffix(".os"), fromlist=["_"])
    module = module.os if place.endswith(".os") else module
    real = getattr(module, name)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            run(source, tmp_path / "out.zarr")
    assert "\n" not in str(caught.value)
    run(source, tmp_path / "out.zarr")
    assert bits(tmp_path / "out.zarr") == expected


@pytest.mark.parametrize("size", [0, 100, 700, 2000, 5000, 9000])
def test_a_disk_that_takes_no_more_at_any_moment_is_one_sentence_and_the_job_goes_on_later(
    source: Path, expected: dict[str, str], tmp_path: Path, size: int
) -> None:
    with disk_limit(size), pytest.raises(InputError, match="File too large") as caught:
        run(source, tmp_path / "out.zarr")
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*.part*") if path.is_file()]
    run(source, tmp_path / "out.zarr")
    assert bits(tmp_path / "out.zarr") == expected


def test_two_processes_do_not_share_a_job(source: Path, tmp_path: Path) -> None:
    first = threshold_segmenter.events(source, tmp_path / "out.zarr")
    next(event for event in first if event.phase == "tiles")  # past getting ready
    with pytest.raises(InputError, match="Another process works on the job"):
        run(source, tmp_path / "out.zarr")
    first.close()
    run(source, tmp_path / "out.zarr")


def test_outputs_that_cannot_be_written_are_one_sentence(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write") as caught:
        run(source, tmp_path / "file" / "out.zarr")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is no OME-Zarr image that could hold labels"):
        run(source, None)


def test_a_read_only_output_is_one_sentence(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.mkdir

    def refuse(self: Path, *arguments: Any, **named: Any) -> None:  # root may write anywhere, so pretend
        if self.name == "out.zarr-cells.job":
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))
        real(self, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="Read-only file system"):
        run(source, tmp_path / "out.zarr")
