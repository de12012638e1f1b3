"""Tiles say how far they are, and are stopped where they are."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from napari_sam.batch.executor import LocalExecutor, open_executor, pulsing
from napari_sam.batch.segmenters import Found
from napari_sam.batch.tile_progress import report
from napari_sam.batch.trial import segment_part
from napari_sam.config.batch import BatchSettings
from threshold_segmenter import ThresholdSegmenter, blobs, events, write_zarr

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
STEPS = 2000


def long_work(folder: str, name: str) -> str:
    for step in range(STEPS):
        report(step, STEPS)
        Path(folder, name).touch()
        time.sleep(0.01)
    return name


@dataclass(frozen=True, kw_only=True)
class Slow:
    """A segmenter that takes 20 seconds for a tile, and says so."""

    log: str
    fingerprint: str = "slow"

    def segment(self, plane: Any, tile: Any, prompts: Any) -> Found:
        long_work(self.log, str(tile.number))
        return Found(records=[])


def test_units_report_and_are_stopped_inside(tmp_path: Path) -> None:
    executor = LocalExecutor(at_once=2)
    outcomes = executor.watch(long_work, [(name, (str(tmp_path), name)) for name in "abc"])
    seen = [next(outcomes) for _ in range(5)]
    assert seen == [None] * 5
    assert 0 < executor.under_way < 1
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}  # two at once
    threads = threading.active_count()
    outcomes.close()
    assert threading.active_count() == threads - 2  # which would have taken 20 seconds
    assert executor.under_way == 0


def test_what_units_return_and_raise_comes_out(tmp_path: Path) -> None:
    def halve(value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd")
        return value // 2

    found = [o for o in LocalExecutor(3).watch(halve, [(str(n), (n,)) for n in range(8)]) if o is not None]
    assert {o.name: o.value for o in found} == {str(n): None if n % 2 else n // 2 for n in range(8)}
    assert {str(o.error) for o in found if o.error} == {f"{n} is odd" for n in (1, 3, 5, 7)}
    work = pulsing(halve, 3)
    with pytest.raises(ValueError, match="3 is odd"):
        list(work)


def test_what_ends_a_process_ends_the_watching() -> None:
    def leave() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(LocalExecutor(2).watch(leave, [("a", ()), ("b", ())]))


def test_a_job_tells_how_far_its_tile_is_and_stops_in_it(tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs((300, 300), count=5))
    log = tmp_path / "log"
    log.mkdir()
    seen = []
    job = events(source, tmp_path / "out.zarr", segmenter=Slow(log=str(log)))
    for event in job:
        if event.phase == "tiles":
            seen.append(event)
        if event.part > 0.01:
            break
    job.close()
    assert seen[-1].done == 0
    assert 0 < seen[-1].share < 1
    assert seen[-1].seconds_left is not None
    assert [path.name for path in log.iterdir()] == ["0"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("napari-sam unit")]


def test_own_workers_are_stopped_inside_of_units_and_go_on_afterwards(tmp_path: Path) -> None:
    with open_executor(2) as executor:
        outcomes = executor.watch(long_work, [(name, (str(tmp_path), name)) for name in "ab"])
        while len(list(tmp_path.iterdir())) < 2:
            assert next(outcomes) is None
        outcomes.close()
        files = sorted(tmp_path.iterdir())
        end = time.monotonic() + 20
        while True:  # nobody touches them any more
            before = [file.stat().st_mtime_ns for file in files]
            time.sleep(0.5)
            if before == [file.stat().st_mtime_ns for file in files]:
                break
            assert time.monotonic() < end
        assert [outcome.value for outcome in executor.run(abs, [("a", (-3,))])] == [3]


def test_the_first_events_tell_of_tiles_of_earlier_runs_and_others_of_their_own(tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs((500, 300), count=25))
    made = [event.made for event in events(source, tmp_path / "out.zarr")]
    assert [len(each) for each in made if each] == [1] * 6
    again = [event.made for event in events(source, tmp_path / "out.zarr") if event.made]
    assert again == [tuple(pair for each in made for pair in each)]
    assert all(plane == 0 and file.is_file() for plane, file in again[0])


def test_a_part_is_what_the_job_would_find_there(tmp_path: Path) -> None:
    image = np.stack([np.zeros((200, 300), np.uint8), blobs((200, 300), count=9)])
    source = write_zarr(tmp_path / "in.zarr", image, axes=("z", "y", "x"))
    trying = segment_part(str(source), BatchSettings(), 1, (20, 30, 150, 200), ThresholdSegmenter())
    while True:
        try:
            assert next(trying).phase == "tiles"
        except StopIteration as end:
            trial = end.value
            break
    np.testing.assert_array_equal(trial.labels > 0, image[1, 20:150, 30:200] > 100)
    assert trial.count == trial.labels.max() > 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.zarr"]  # nothing is written
