from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_sam.batch.executor import LocalExecutor, Outcome
from napari_sam.batch.segmenters import Found
from napari_sam.errors import InputError
from napari_sam.io.large_image import LargeImage
from threshold_segmenter import ThresholdSegmenter, bits, blobs, events, read_labels, run, write_zarr

SHAPE = (2200, 300)  # two blocks of labels, 12 x 2 tiles


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zarr(tmp_path_factory.mktemp("image") / "in.zarr", blobs(SHAPE))


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("expected") / "out.zarr"
    run(source, output)
    return bits(output)


def same_partition(one: Any, other: Any) -> bool:
    """Tell whether two label images are equal up to the numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]).astype(np.int64), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def test_tiles_give_the_objects_of_the_whole_image(source: Path, tmp_path: Path) -> None:
    last = run(source, tmp_path / "out.zarr")
    whole, count = ndimage.label(blobs(SHAPE) > 100, np.ones((3, 3)))
    labels = read_labels(tmp_path / "out.zarr")
    assert last.phase == "finished"
    assert last.objects == count
    assert last.failed == ()
    assert same_partition(labels, whole)
    assert set(np.unique(labels)) == set(range(count + 1))
    record = zarr.open_group(tmp_path / "out.zarr")["labels/cells"].attrs["napari_sam"]
    assert record["weights"] == "threshold"
    assert record["settings"]["tile"] == 256
    assert record["objects"] == count
    assert record["failed"] == []
    assert {"package", "normalization", "source", "time"} <= set(record)


@pytest.mark.parametrize("chunks", [100, 512])
def test_bits_do_not_depend_on_chunks(expected: dict[str, str], tmp_path: Path, chunks: int) -> None:
    again = write_zarr(tmp_path / "in.zarr", blobs(SHAPE), chunks=chunks)
    reference = write_zarr(tmp_path / "first.zarr", blobs(SHAPE))
    run(again, tmp_path / "out.zarr")
    run(reference, tmp_path / "reference.zarr")
    assert bits(tmp_path / "reference.zarr") == expected
    np.testing.assert_array_equal(read_labels(tmp_path / "out.zarr"), read_labels(tmp_path / "reference.zarr"))


def test_bits_do_not_depend_on_order(
    source: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(self: LocalExecutor, function: Any, calls: Any) -> Any:
        listed = list(calls)
        for number in np.random.default_rng(3).permutation(len(listed)):
            name, arguments = listed[number]
            yield Outcome(name=name, value=function(*arguments))

    monkeypatch.setattr(LocalExecutor, "run", shuffled)
    monkeypatch.setattr(LocalExecutor, "watch", shuffled)
    run(source, tmp_path / "out.zarr")
    assert bits(tmp_path / "out.zarr") == expected


def test_bits_do_not_depend_on_workers(source: Path, expected: dict[str, str], tmp_path: Path, scheduler: str) -> None:
    seen = list(events(source, tmp_path / "out.zarr", scheduler=scheduler))
    assert bits(tmp_path / "out.zarr") == expected
    tiles = [event for event in seen if event.phase == "tiles"]
    assert list(dict.fromkeys(event.done for event in tiles)) == list(range(tiles[0].total + 1))
    assert tiles[-1].rate > 0
    assert tiles[-1].seconds_left == 0


def test_a_finished_job_does_nothing_again(source: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    segmenter = ThresholdSegmenter(log=str(log))
    run(source, tmp_path / "out.zarr", segmenter=segmenter)
    seen = len(list(log.iterdir()))
    record = zarr.open_group(tmp_path / "out.zarr")["labels/cells"].attrs["napari_sam"]
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out.zarr").rglob("*") if path.is_file()}
    last = run(source, tmp_path / "out.zarr", segmenter=segmenter)
    assert last.objects == record["objects"]
    assert len(list(log.iterdir())) == seen
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_cancelled_job_goes_on_where_it_stopped(source: Path, expected: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    segmenter = ThresholdSegmenter(log=str(log))
    for stop in (5, 3, 30, 20):
        job = events(source, tmp_path / "out.zarr", segmenter=segmenter)
        for _ in range(stop):
            next(job)
        job.close()
    run(source, tmp_path / "out.zarr", segmenter=segmenter)
    assert bits(tmp_path / "out.zarr") == expected
    names = [path.name.rsplit("_")[-1] for path in log.iterdir()]
    assert len(names) <= len(set(names)) + 4  # only what was under way is done twice


def test_objects_of_planes_without_links_never_share_an_id(tmp_path: Path) -> None:
    stack = np.stack([blobs((300, 400), seed, 20) for seed in range(3)])
    stack[1] = 0
    last = run(write_zarr(tmp_path / "in.zarr", stack, ("z", "y", "x")), tmp_path / "out.zarr")
    labels = read_labels(tmp_path / "out.zarr")
    counts = [ndimage.label(plane > 100, np.ones((3, 3)))[1] for plane in stack]
    assert set(np.unique(labels[0])) == set(range(counts[0] + 1))
    assert labels[1].max() == 0
    assert set(np.unique(labels[2])) == {0, *range(counts[0] + 1, sum(counts) + 1)}
    assert last.objects == sum(counts)
    colours = zarr.open_group(tmp_path / "out.zarr")["labels/cells"].attrs["ome"]["image-label"]["colors"]
    assert [colour["label-value"] for colour in colours] == list(range(1, sum(counts) + 1))


@dataclass(frozen=True, kw_only=True)
class NamingSegmenter(ThresholdSegmenter):
    """Name objects by the plane along the first axis on which they are."""

    def segment(self, plane: Any, tile: Any, prompts: Any) -> Found:
        found = super().segment(plane, tile, prompts)
        return replace(found, texts=np.full(len(found.records), tile.plane[0] % 2, np.int32))


@pytest.mark.parametrize("link", ["", "z"])
def test_no_object_has_the_text_of_one_on_another_plane(tmp_path: Path, link: str) -> None:
    stack = np.stack([[blobs((150, 200), t, 6)] * 2 for t in range(3)])
    source = write_zarr(tmp_path / "in.zarr", stack, ("t", "z", "y", "x"))
    texts = ("nuclei", "debris")
    run(source, tmp_path / "out.zarr", segmenter=NamingSegmenter(), mode="text", text=texts, link=link)
    said = zarr.open_group(tmp_path / "out.zarr")["labels/cells"].attrs["ome"]["image-label"]["properties"]
    named = {row["label-value"]: row["text"] for row in said}
    labels = read_labels(tmp_path / "out.zarr")
    assert set(named) == set(np.unique(labels)) - {0}
    for t in range(3):
        assert {named[label] for label in np.unique(labels[t]) if label} == {texts[t % 2]}


def test_more_objects_than_labels_can_number_are_refused(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sam.batch.job.LARGEST_ID", 10)
    with pytest.raises(InputError, match="more than labels of 32 bits can number"):
        run(source, tmp_path / "out.zarr")


def test_planning_lists_the_planes_of_a_long_film_a_fixed_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = LargeImage.planes

    def counted(self: LargeImage) -> list[dict[str, int]]:
        calls.append(1)
        return real(self)

    monkeypatch.setattr(LargeImage, "planes", counted)
    needed = []
    for planes in (2, 9):
        stack = np.zeros((planes, 40, 40), np.uint8)
        stack[:, 10:20, 10:20] = 200
        source = write_zarr(tmp_path / f"{planes}.zarr", stack, ("t", "y", "x"))
        for link in ("", "t"):
            for _ in range(2):  # the second goes on, and does nothing
                calls.clear()
                run(source, tmp_path / f"out{planes}{link}.zarr", link=link)
                needed.append(len(calls))
    assert needed[:4] == needed[4:]
    assert max(needed) < 10


def test_links_over_planes_and_gaps(tmp_path: Path, scheduler: str) -> None:
    stack = np.zeros((2, 36, 120, 150), np.uint8)  # t z y x; more planes than one unit takes
    for z in range(36):
        stack[:, z, 10 + z : 40 + z, 10:40] = 200  # a tube that drifts
        if z != 32:
            stack[:, z, 20:60, 100:140] = 200  # one that is missing for a plane
        if z < 5 or z > 10:
            stack[:, z, 90:110, 60:90] = 200  # and one that is missing for longer than the gap
    last = run(write_zarr(tmp_path / "in.zarr", stack, ("t", "z", "y", "x")), tmp_path / "out.zarr", link="z")
    labels = read_labels(tmp_path / "out.zarr")
    for t in range(2):
        assert len({int(labels[t, z, 25 + z, 20]) for z in range(36)}) == 1
        assert len({int(labels[t, z, 30, 120]) for z in range(36)} - {0}) == 1
        assert labels[t, 0, 100, 70] != labels[t, 35, 100, 70]
        assert set(np.unique(labels[t])) == {0, *range(1 + 4 * t, 5 + 4 * t)}
    assert last.objects == 8
    few = write_zarr(tmp_path / "few.zarr", stack[0, 30:36], ("z", "y", "x"))
    settings = {"link": "z", "tile": 64, "overlap": 32}
    seen = events(few, tmp_path / "one.zarr", scheduler=scheduler, **settings)
    order = [event.phase for event in seen if event.phase != "ready"]
    assert list(dict.fromkeys(order)) == ["tiles", "edges", "objects", "overlaps", "links", "labels", "finished"]
    run(few, tmp_path / "two.zarr", **settings)
    assert bits(tmp_path / "one.zarr") == bits(tmp_path / "two.zarr")


def test_other_parameters_are_refused_and_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zarr"
    run(source, output)
    before = bits(output)
    with pytest.raises(InputError, match=r"begun with settings.overlap 64, not 96: .* restart"):
        run(source, output, overlap=96)
    with pytest.raises(InputError, match=r'begun with weights "threshold", not "other"'):
        run(source, output, segmenter=ThresholdSegmenter(fingerprint="other"))
    assert bits(output) == before
    run(source, output, retries=5)  # no parameter of the result
    run(source, output, overlap=96, restart=True)
    job = json.loads((tmp_path / "out.zarr-cells.job" / "job.json").read_text())
    assert job["settings"]["overlap"] == 96


def test_foreign_labels_are_not_touched(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zarr"
    run(source, output)
    (tmp_path / "out.zarr-cells.job").rename(tmp_path / "elsewhere")
    before = bits(output)
    with pytest.raises(InputError, match="labels cells that no job here made"):
        run(source, output)
    assert bits(output) == before
    run(source, output, label="others")
    assert bits(output) == before
    with pytest.raises(InputError, match="labels cells that no job here made"):
        run(source, output, restart=True)
    assert bits(output) == before
    run(source, output, restart=True, replace_edits=True)
    assert bits(output) == before


def test_labels_that_were_removed_are_made_again(source: Path, expected: dict[str, str], tmp_path: Path) -> None:
    import shutil

    run(source, tmp_path / "out.zarr")
    shutil.rmtree(tmp_path / "out.zarr")
    run(source, tmp_path / "out.zarr")
    assert bits(tmp_path / "out.zarr") == expected


def test_changed_pixels_are_segmented_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    image = blobs((700, 700))
    source = write_zarr(tmp_path / "in.zarr", image)
    run(source, tmp_path / "out.zarr")
    image[:40, :40] = 0
    image[5:15, 5:15] = 220
    zarr.open_array(source, mode="r+")[:128, :128] = image[:128, :128]
    run(source, tmp_path / "out.zarr", segmenter=ThresholdSegmenter(log=str(log)))
    assert {path.name.rsplit("_")[-1] for path in log.iterdir()} == {"0"}
    run(source, tmp_path / "fresh.zarr")
    assert bits(tmp_path / "fresh.zarr") == bits(tmp_path / "out.zarr")


def test_plates_are_segmented_well_by_well(tmp_path: Path) -> None:
    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    wells = [{"path": f"A/{k}", "rowIndex": 0, "columnIndex": k - 1} for k in (1, 2)]
    plate.attrs["plate"] = {
        "version": "0.4",
        "rows": [{"name": "A"}],
        "columns": [{"name": "1"}, {"name": "2"}],
        "wells": wells,
    }
    counts = []
    for k in (1, 2):
        well = plate.create_group(f"A/{k}")
        well.attrs["well"] = {"version": "0.4", "images": [{"path": "0"}]}
        field = well.create_group("0")
        field.attrs["multiscales"] = [
            {
                "version": "0.4",
                "axes": [{"name": axis, "type": "space"} for axis in "yx"],
                "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0]}]}],
            }
        ]
        image = blobs((300, 300), k, 10)
        field.create_array("0", shape=image.shape, chunks=(128, 128), dtype="u1")[:] = image
        counts.append(ndimage.label(image > 100, np.ones((3, 3)))[1])
    done = [event for event in events(tmp_path / "plate.zarr", None) if event.phase == "finished"]
    assert [(event.item, event.items_done, event.items_total) for event in done] == [("A/1/0", 1, 2), ("A/2/0", 2, 2)]
    assert [event.objects for event in done] == counts
    for k, count in zip((1, 2), counts, strict=True):
        assert read_labels(tmp_path / "plate.zarr" / "A" / str(k) / "0").max() == count
    chunk = next(path for path in (tmp_path / "plate.zarr/A/2/0/0").rglob("*") if path.name[0].isdigit())
    chunk.write_bytes(b"damaged")
    last = run(tmp_path / "plate.zarr", tmp_path / "out", retries=0)
    assert last.failed
    assert all(unit.name.startswith("A/2/0: rows ") for unit in last.failed)
    assert read_labels(tmp_path / "out/A/1/0").max() == counts[0]
