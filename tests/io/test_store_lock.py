"""What labels of one store share is changed by one process at a time."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sam.errors import InputError
from napari_sam.io import store_lock as module
from napari_sam.io.label_store import create_labels, open_labels
from napari_sam.io.large_image import open_large_image
from napari_sam.io.store_lock import store_lock

NAMES = [f"labels{k}" for k in range(6)]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=3)
    group.create_array("0", shape=(60, 60), chunks=(60, 60), dtype="u1")[...] = np.ones((60, 60))
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0]}]}]
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return tmp_path / "in.zarr"


def make(path: Path, name: str, barrier: Any) -> None:
    image = open_large_image(path)
    barrier.wait(60)
    create_labels(image, None, name)
    for label in range(1, 4):
        open_labels(path, name).write_provenance({f"note{label}": label})


def together(work: Callable[..., None], *arguments: tuple[Any, ...]) -> None:
    """Run a function in as many processes as there are arguments, from one moment on."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(arguments))
    processes = [context.Process(target=work, args=(*each, barrier)) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes begin too slowly")
def test_labels_that_are_made_at_once_are_all_listed(image: Path) -> None:
    (image.parent / "link.zarr").symlink_to(image)
    together(make, *((image if k % 2 else image.with_name("link.zarr"), name) for k, name in enumerate(NAMES)))
    assert sorted(zarr.open_group(image, mode="r")["labels"].attrs["ome"]["labels"]) == NAMES  # type: ignore[index]
    for name in NAMES:
        assert open_labels(image, name).provenance == {"note1": 1, "note2": 2, "note3": 3}


def note(path: Path, key: str, barrier: Any) -> None:
    store = open_labels(path, "cells")
    barrier.wait(60)
    for number in range(5):
        store.write_provenance({f"{key}{number}": number})


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes begin too slowly")
def test_nothing_that_is_noted_of_the_same_labels_is_lost(image: Path) -> None:
    create_labels(open_large_image(image), None, "cells")
    together(note, (image, "a"), (image, "b"), (image, "c"))
    assert open_labels(image, "cells").provenance == {f"{key}{k}": k for key in "abc" for k in range(5)}


@pytest.mark.parametrize("place", ["{}/new/out.zarr", "memory://lock/out.zarr"])
def test_a_lock_that_is_held_is_waited_for_and_named_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    location = place.format(tmp_path)
    monkeypatch.setattr(module, "SECONDS", 0.1)

    def wait() -> None:
        try:
            with store_lock(location):
                raise AssertionError("two at once")
        except OSError as error:
            caught.append(error)

    caught: list[OSError] = []
    with store_lock(location):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert len(caught) == 1
    with store_lock(location):
        pass


def test_labels_in_a_locked_store_are_one_sentence(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.1)
    found = open_large_image(image)
    with store_lock(image), pytest.raises(InputError, match="Cannot write to") as caught:
        create_labels(found, None, "cells")
    assert "\n" not in str(caught.value)


def test_a_list_that_lost_labels_has_them_again(image: Path) -> None:
    store = create_labels(open_large_image(image), None, "cells")
    zarr.open_group(image, mode="r+")["labels"].attrs["ome"] = {"version": "0.5", "labels": ["other"]}
    store.write_provenance({"model": "cells"})
    assert zarr.open_group(image, mode="r")["labels"].attrs["ome"]["labels"] == ["other", "cells"]  # type: ignore[index]


def test_labels_that_people_added_keep_their_colours_and_the_highest_never_sinks(image: Path) -> None:
    store = create_labels(open_large_image(image), None, "cells")
    store.write_provenance({"model": "a"}, count=3)
    store.write_provenance({"highest_label": 8})
    store.write_provenance({"model": "b"}, count=5)
    assert store.provenance == {"model": "b", "highest_label": 8}
    entry = zarr.open_group(image, mode="r")["labels/cells"].attrs["ome"]["image-label"]  # type: ignore[index]
    assert [colour["label-value"] for colour in entry["colors"]] == list(range(1, 9))
