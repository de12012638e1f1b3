"""OME-Zarr labels: metadata that independent readers accept, pyramids, blocks, refusals."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from napari_sam.errors import InputError
from napari_sam.io.codecs import fast_codecs
from napari_sam.io.label_store import create_labels, labels_exist, open_labels
from napari_sam.io.large_image import open_large_image

RNG = np.random.default_rng(5)
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])
PIPELINE = "codec_pipeline.path"
PIPELINES = pytest.mark.parametrize("pipeline", ["zarr-python", "zarrs"], indirect=True)


@pytest.fixture
def pipeline(request):
    """Use one of the codec pipelines."""
    with fast_codecs("here") if request.param == "zarrs" else nullcontext():
        assert ("zarrs" in zarr.config.get(PIPELINE)) == (request.param == "zarrs")
        yield request.param


def make_image(path, version="0.5", axes="cyx", shape=(2, 700, 900), levels=2, level=0):
    """Write an OME-Zarr image with plain zarr calls."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for number in range(levels):
        factor = 2**number
        sides = tuple(-(-side // factor) if axis in "yx" else side for axis, side in zip(axes, shape, strict=True))
        scale = [0.5 * factor if axis in "yx" else 3.0 if axis == "z" else 1.0 for axis in axes]
        shift = [10.0 if axis in "yx" else 0.0 for axis in axes]
        array = group.create_array(
            str(number),
            shape=sides,
            dtype="uint16",
            chunks=tuple(256 if axis in "yx" else 1 for axis in axes),
            chunk_key_encoding={"name": "v2" if version == "0.4" else "default", "separator": "/"},
            dimension_names=None if version == "0.4" else tuple(axes),
        )
        array[...] = RNG.integers(0, 1000, sides, np.uint16)
        steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(number), "coordinateTransformations": steps})
    entries = [
        {"name": axis, "type": TYPES[axis]} | ({"unit": "micrometer"} if TYPES[axis] == "space" else {})
        for axis in axes
    ]
    multiscales = [{"name": "image", "axes": entries, "datasets": datasets}]
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **multiscales[0]}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    return open_large_image(path, level=level)


def fill(store):
    """Write numbered stripes in blocks from the last to the first, then the pyramid; return the finest level."""
    sizes = store.array.shape
    labels = (np.arange(np.prod(sizes)).reshape(sizes) // 97 % 70000).astype(np.int32)
    for plane, (row0, col0, row1, col1) in reversed(store.blocks()):
        leading = tuple(plane[axis] for axis in store.axes[:-2])
        store.write(plane, (row0, col0, row1, col1), labels[(*leading, slice(row0, row1), slice(col0, col1))])
    for number in range(1, len(store.levels)):
        for plane, region in reversed(store.blocks(number)):
            store.build_level(number, plane, region)
    return labels


def validate(path):
    """Let yaozarrs and ome-zarr-models read the metadata and the arrays."""
    import yaozarrs
    from ome_zarr_models import open_ome_zarr

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yaozarrs.validate_zarr_store(str(path))
        return open_ome_zarr(zarr.open_group(str(path), mode="r"))


@VERSIONS
@pytest.mark.parametrize(("axes", "shape"), [("yx", (700, 900)), ("tczyx", (2, 2, 3, 300, 280))])
def test_labels_in_the_image_are_valid_and_carry_its_geometry(tmp_path, version, axes, shape):
    image = make_image(tmp_path / "a.zarr", version, axes, shape)
    store = create_labels(image, None, "cells")
    labels = fill(store)
    store.write_provenance({"model": "cells"}, count=3)
    assert store.axes == tuple(axis for axis in axes if axis != "c")
    assert_array_equal(store.array[...], labels)
    assert store.array.dtype == np.uint32
    assert store.array.metadata.zarr_format == (2 if version == "0.4" else 3)
    for place in ("a.zarr", "a.zarr/labels/cells", *(["a.zarr/labels"] if version == "0.5" else [])):
        validate(tmp_path / place)
    group = zarr.open_group(store.path, mode="r")
    ome = group.attrs.get("ome", group.attrs)
    assert ome["image-label"]["source"] == {"image": "../../"}
    assert [color["label-value"] for color in ome["image-label"]["colors"]] == [1, 2, 3]
    assert group.attrs["napari_sam"] == {"model": "cells"} == open_labels(tmp_path / "a.zarr", "cells").provenance
    for dataset, level in zip(ome["multiscales"][0]["datasets"], image.levels, strict=True):
        kept = [axes.index(axis) for axis in store.axes]
        scale, shift = dataset["coordinateTransformations"]
        assert scale["scale"] == [level.scale[place] for place in kept]
        assert shift["translation"] == [level.translation[place] for place in kept]
        assert group[dataset["path"]].shape == tuple(level.array.shape[place] for place in kept)


@VERSIONS
def test_readers_of_ome_zarr_show_them(tmp_path, version):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    image = make_image(tmp_path / "a.zarr", version)
    labels = fill(create_labels(image, None, "cells"))
    fill(create_labels(image, tmp_path / "out.zarr", "cells"))  # leads to the image and so to its labels
    for place in (tmp_path / "a.zarr", tmp_path / "out.zarr"):
        nodes = list(Reader(parse_url(str(place)))())
        found = [node for node in nodes if node.metadata.get("name") == "cells" and "color" in node.metadata]
        assert any(str(node).startswith(f"{place}/labels/cells") for node in found)
        for node in found:
            assert [level.shape for level in node.data][:2] == [(700, 900), (350, 450)]
            assert_array_equal(node.data[0].compute(), labels)


@VERSIONS
def test_napari_opens_them(tmp_path, version):
    from napari.layers import Layer
    from napari_ome_zarr import napari_get_reader

    image = make_image(tmp_path / "a.zarr", version, "czyx", (2, 3, 700, 900))
    labels = fill(create_labels(image, None, "cells"))
    store = create_labels(image, tmp_path / "out.zarr", "cells")
    fill(store)
    store.write_provenance({}, count=5)
    for place in ("a.zarr", "a.zarr/labels/cells", "out.zarr", "out.zarr/labels/cells"):
        data = napari_get_reader(str(tmp_path / place))(str(tmp_path / place))
        (found,) = (Layer.create(*entry) for entry in data if entry[2] == "labels")
        assert found.multiscale
        assert found.scale.tolist() == [3.0, 0.5, 0.5]
        assert_array_equal(np.asarray(found.data[0]), labels)
    places = [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"]
    assert sorted(places) == ["a.zarr", "out.zarr"]


def test_a_new_output_is_valid_and_leads_to_the_image(tmp_path):
    image = make_image(tmp_path / "a.zarr")
    store = create_labels(image, tmp_path / "out.zarr", "cells")
    fill(store)
    create_labels(image, tmp_path / "out.zarr", "nuclei")
    for place in ("out.zarr", "out.zarr/labels", "out.zarr/labels/cells", "out.zarr/labels/nuclei"):
        validate(tmp_path / place)
    ome = zarr.open_group(store.path, mode="r").attrs["ome"]
    assert ome["image-label"]["source"] == {"image": "../../../a.zarr"}
    assert zarr.open_group(str(tmp_path / "out.zarr/labels"), mode="r").attrs["ome"]["labels"] == ["cells", "nuclei"]
    assert not (tmp_path / "a.zarr/labels").exists()


def test_the_chosen_level_counts(tmp_path):
    image = make_image(tmp_path / "a.zarr", levels=3, level=1)
    store = create_labels(image, None, "cells")
    # as many levels as the image has, as the specification wants
    assert [level.shape for level in store.levels] == [(350, 450), (175, 225), (88, 113)]
    ome = zarr.open_group(store.path, mode="r").attrs["ome"]
    assert ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 1.0]
    validate(tmp_path / "a.zarr")


def test_an_image_of_one_level_gets_a_pyramid_by_nearest_neighbours(tmp_path):
    image = make_image(tmp_path / "a.zarr", axes="zyx", shape=(2, 1501, 700), levels=1)
    assert len(create_labels(image, None, "cells").levels) == 1  # beside the image as many as it has
    store = create_labels(image, tmp_path / "out.zarr", "cells")
    labels = fill(store)
    validate(tmp_path / "out.zarr")
    validate(tmp_path / "a.zarr")
    assert [level.shape for level in store.levels] == [(2, 1501, 700), (2, 751, 350), (2, 376, 175)]
    for number, level in enumerate(store.levels):
        assert_array_equal(level[...], labels[:, :: 2**number, :: 2**number])
    assert_array_equal(store.read({"z": 1}, (3, 5, 40, 60)), labels[1, 3:40, 5:60])


@VERSIONS
def test_blocks_partition_a_level_and_share_no_file(tmp_path, version):
    image = make_image(tmp_path / "a.zarr", version, "zyx", (2, 700, 900))
    store = create_labels(image, None, "cells", chunks=(128, 64), shards=(256, 128) if version == "0.5" else None)
    hits, files = np.zeros(store.array.shape, int), 0
    for number in range(len(store.levels)):
        hits = np.zeros(store.levels[number].shape, int)
        for plane, (row0, col0, row1, col1) in store.blocks(number):
            hits[plane["z"], row0:row1, col0:col1] += 1
        assert (hits == 1).all()
    root = tmp_path / "a.zarr/labels/cells/0"
    for plane, region in store.blocks():
        store.write(plane, region, np.ones((region[2] - region[0], region[3] - region[1]), np.int32))
        now = sum(file.is_file() for file in root.rglob("*"))
        assert now > files  # each block makes files of its own
        files = now
    assert (store.array[...] == 1).all()


@PIPELINES
@VERSIONS
def test_a_torn_file_is_written_anew(tmp_path, version, pipeline):
    store = create_labels(make_image(tmp_path / "a.zarr", version), None, "cells")
    labels = fill(store)
    chunk = tmp_path / "a.zarr/labels/cells/0" / ("0/0" if version == "0.4" else "c/0/0")
    chunk.write_bytes(chunk.read_bytes()[:50])
    with pytest.raises(InputError, match="Cannot read"):
        store.read({}, (0, 0, 700, 900))
    plane, region = store.blocks()[0]
    store.write(plane, region, labels[region[0] : region[2], region[1] : region[3]])
    assert_array_equal(store.read({}, (0, 0, 700, 900)), labels)


def test_existing_labels_stay_unless_they_are_to_be_replaced(tmp_path):
    image = make_image(tmp_path / "a.zarr")
    labels = fill(create_labels(image, None, "cells"))
    with pytest.raises(InputError, match="has labels cells already"):
        create_labels(image, None, "cells")
    assert_array_equal(open_labels(tmp_path / "a.zarr", "cells", "r").array[...], labels)
    assert not create_labels(image, None, "cells", overwrite=True).array[...].any()
    assert zarr.open_group(str(tmp_path / "a.zarr/labels"), mode="r").attrs["ome"]["labels"] == ["cells"]


def test_plain_arrays_and_tiffs_get_labels_in_an_output(tmp_path):
    import tifffile

    stack = RNG.integers(0, 99, (3, 60, 70), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    array = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(60, 70, 3), chunks=(30, 70, 3), dtype="uint8")
    array[...] = 1
    for name, axes, shape in (("a.tif", ("z", "y", "x"), (3, 60, 70)), ("a.zarr", ("y", "x"), (60, 70))):
        store = create_labels(open_large_image(tmp_path / name), tmp_path / f"{name}-out.zarr", "cells")
        assert (store.axes, store.array.shape) == (axes, shape)
        labels = fill(store)
        validate(tmp_path / f"{name}-out.zarr")
        again = open_large_image(tmp_path / f"{name}-out.zarr")  # viewers, too, find the labels at the top
        assert_array_equal(again.array[...], labels)


def test_what_a_killed_creation_left_is_replaced(tmp_path):
    image = make_image(tmp_path / "a.zarr")
    create_labels(image, None, "cells")
    group = zarr.open_group(str(tmp_path / "a.zarr/labels/cells"), mode="r+")
    del group.attrs["ome"]  # written last
    assert not labels_exist(image.location, "cells")
    with pytest.raises(InputError, match="has no labels cells"):
        open_labels(image.location, "cells")
    create_labels(image, None, "cells")
    assert labels_exist(image.location, "cells")
    validate(tmp_path / "a.zarr")


@VERSIONS
def test_labels_are_found_through_consolidated_metadata(tmp_path, version):
    image = make_image(tmp_path / "a.zarr", version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Zarr v3 does not have them officially
        zarr.consolidate_metadata(str(tmp_path / "a.zarr"))
        store = create_labels(image, None, "cells")
        store.write_provenance({"a": 1})
        group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r", use_consolidated=True)
    assert group["labels/cells"].attrs["napari_sam"] == {"a": 1}
    assert group["labels/cells/0"].shape == (700, 900)


def test_no_output_is_destroyed(tmp_path):
    image = make_image(tmp_path / "a.zarr")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "text.txt").write_text("mine")
    (tmp_path / "file.zarr").write_text("mine")
    array = tmp_path / "array.zarr"
    zarr.create_array(store=str(array), shape=(4, 4), chunks=(2, 2), dtype="uint8")
    for place in (tmp_path / "notes", tmp_path / "file.zarr", array):
        with pytest.raises(InputError, match="no OME-Zarr group"):
            create_labels(image, place, "cells")
    for place, word in ((tmp_path / "a.zip", "zip"), ("https://example.org/a.zarr", "web")):
        with pytest.raises(InputError, match=word):
            create_labels(image, place, "cells")
    for name in ("", "a/b", "..", "__x"):
        with pytest.raises(InputError, match="cannot name labels"):
            create_labels(image, None, name)
    with pytest.raises(InputError, match="give an output"):
        create_labels(open_large_image(array), None, "cells")


@PIPELINES
def test_a_full_disk_is_one_sentence(tmp_path, pipeline):
    import resource

    store = create_labels(make_image(tmp_path / "a.zarr"), None, "cells")
    noise = RNG.integers(0, 2**31, (700, 900)).astype(np.int32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match=r"^Cannot write to .*labels/cells \(File too large.*\): [^.]*\.$"):
            store.write({}, (0, 0, 700, 900), noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.write({}, (0, 0, 700, 900), noise)
    assert_array_equal(store.array[...], noise)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("No space (os error 28)")])
def test_a_full_disk_comes_with_a_remedy_and_costs_nothing_written(tmp_path, monkeypatch, error):
    store = create_labels(make_image(tmp_path / "a.zarr"), None, "cells")
    labels = fill(store)

    def refuse(*_):
        raise error

    monkeypatch.setattr(zarr.Array, "__setitem__", refuse)
    with pytest.raises(InputError, match="free some space and run the same command again"):
        store.write({}, (0, 0, 700, 900), labels)
    assert_array_equal(store.array[...], labels)


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path, monkeypatch):
    image = make_image(tmp_path / "a.zarr")

    async def refuse(*_, **__):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(zarr.storage.LocalStore, "set", refuse)
    monkeypatch.setattr(zarr.storage.LocalStore, "set_if_not_exists", refuse)
    for output in (None, tmp_path / "out.zarr"):
        with pytest.raises(InputError, match=r"^Cannot write to .* \(Read-only file system\)"):
            create_labels(image, output, "cells")


def test_a_store_in_memory_is_written_like_a_remote_one(tmp_path):
    image = make_image(tmp_path / "a.zarr")
    store = create_labels(image, "memory://labels-test/out.zarr", "cells")
    labels = fill(store)
    assert_array_equal(open_labels("memory://labels-test/out.zarr", "cells", "r").array[...], labels)
    assert not list(tmp_path.glob("memory*"))
