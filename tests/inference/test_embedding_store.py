"""Embeddings on disk: what was computed is found again, what has changed is not, whatever happens to the writers."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from conftest import TINY_CELL
from napari_sam.errors import InputError
from napari_sam.inference import embedding_folder
from napari_sam.inference.embed_image import embed_image, list_blocks
from napari_sam.inference.embedding_folder import evict, open_store
from napari_sam.inference.embedding_store import USED, EmbeddingStore
from napari_sam.inference.lattice import Lattice
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.picture import open_picture
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.store_identity import StoreIdentity, identity_of
from napari_sam.inference.windows import window_around
from napari_sam.model.build import build_from_spec
from napari_sam.model.sam import ImageEmbedding

IMAGE = np.random.default_rng(0).integers(0, 4000, (150, 230)).astype(np.uint16)
BOX = {"box": (40, 66, 70, 95), "window": Lattice(TINY_CELL, (150, 230)).window((0, 1, 2))}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_EMBEDDINGS", str(tmp_path / "embeddings"))
    return tmp_path / "embeddings"


@pytest.fixture
def encoded(monkeypatch, tiny_cell_model):
    """How many windows each call of the encoder got."""
    calls = []
    encode = type(tiny_cell_model).encode

    def counting(self, pixels):
        calls.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(type(tiny_cell_model), "encode", counting)
    return calls


class Watched:
    """An image that counts its reads, and the signature of its state."""

    def __init__(self, pixels):
        self.pixels, self.reads, self.state = pixels, 0, {}
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim

    def __getitem__(self, key):
        self.reads += 1
        return self.pixels[key]

    def signature(self, window):
        return f"{self.state.get('all', 0)} {self.state.get((window.row, window.col), 0)}"


def picture_with_store(model, image=IMAGE, **how):
    picture = open_picture(image, "auto", None)
    return replace(picture, store=open_store(model, picture, **how))


def predictor_with(model, image=IMAGE, **how):
    predictor = Predictor(model)
    predictor.set_image(image, store=picture_with_store(model, image, **how).store)
    return predictor


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0), ("float16", 1e-3), ("bfloat16", 8e-3)])
def test_embeddings_come_back_as_they_were_to_the_precision_stored(tiny_cell_model, precision, tolerance):
    picture = picture_with_store(tiny_cell_model, precision=precision)
    store = picture.store
    for site in [(0, 1, 2), (0, 3, 6), (-1, 5, 5), (2, 0, 0)]:
        window = store.lattice.window(site)
        made = tiny_cell_model.encode([torch.rand(1, 3, window.input_height, window.input_width) * 255])
        made = ImageEmbedding(made.features.detach(), tuple(skip.detach() for skip in made.skips))
        assert store.get(window, "a") is None
        assert store.put(window, "a", made)
        read, expected = store.get(window, "a"), store.rounded(made)
        for one, same, exact in zip(
            (read.features, *read.skips),
            (expected.features, *expected.skips),
            (made.features, *made.skips),
            strict=True,
        ):
            torch.testing.assert_close(one, same, rtol=0, atol=0)
            torch.testing.assert_close(one, exact, rtol=tolerance, atol=1e-6)
        assert store.get(window, "b") is None
    part = zarr.open_group(store.path, mode="r")["0/features"]
    assert part.metadata.zarr_format == 3
    assert part.shards == (4, 4, 32, 8, 8)
    assert part.dtype == {"float32": "float32", "float16": "float16", "bfloat16": "uint16"}[precision]


def test_a_second_session_encodes_nothing_and_gives_the_same_masks(tiny_cell_model, encoded):
    first = predictor_with(tiny_cell_model).predict(**BOX)
    assert sum(encoded) > 0
    encoded.clear()
    second = predictor_with(tiny_cell_model).predict(**BOX)
    assert encoded == []
    np.testing.assert_array_equal(second.logits, first.logits)
    assert second.window == first.window


def test_with_signatures_not_even_pixels_are_read(tiny_cell_model, encoded):
    image = Watched(IMAGE)
    first = predictor_with(tiny_cell_model, image, signature=image.signature).predict(**BOX)
    predictor = predictor_with(tiny_cell_model, image, signature=image.signature)
    encoded.clear()
    image.reads = 0
    np.testing.assert_array_equal(predictor.predict(**BOX).logits, first.logits)
    assert (image.reads, encoded) == (0, [])


@pytest.mark.parametrize("signed", [True, False])
def test_what_has_changed_is_computed_anew_and_only_that(tiny_cell_model, encoded, signed):
    image = Watched(IMAGE.copy())
    how = {"signature": image.signature if signed else None}
    picture = picture_with_store(tiny_cell_model, image, **how)
    list(embed_image(tiny_cell_model, picture, levels=[0]))
    before = [picture.store.lattice.window((0, 0, col)) for col in (0, 3)]
    image.pixels[0:3, 0:3] += 100
    image.state[0, 0] = 1
    encoded.clear()
    again = replace(open_picture(image, picture.normalization, None), store=picture.store)
    again.look_at_all(tiny_cell_model, before, Predictor(tiny_cell_model).cache)
    assert sum(encoded) == 1
    again = replace(open_picture(image, picture.normalization, None), store=picture.store)
    again.look_at_all(tiny_cell_model, before, Predictor(tiny_cell_model).cache)
    assert sum(encoded) == 1


def test_a_stopped_filling_goes_on_where_it_was(tiny_cell_model, encoded):
    image = Watched(IMAGE)
    picture = picture_with_store(tiny_cell_model, image, signature=image.signature)
    for event in embed_image(tiny_cell_model, picture):
        if event.encoded >= 7:  # windows are encoded as many at once as there are cores
            break
    stopped = event.encoded
    assert sum(encoded) == stopped < 12
    events = list(embed_image(tiny_cell_model, picture))
    total = sum(map(len, list_blocks(picture.store.lattice, [0, 1, 2])))
    assert events[-1].done == events[-1].total == total == sum(encoded)
    assert events[-1].encoded == total - stopped
    assert list(embed_image(tiny_cell_model, picture))[-1].encoded == 0
    image.state["all"] = 1
    assert list(embed_image(tiny_cell_model, picture, levels=[1]))[-1].encoded > 0


def test_windows_that_cannot_be_read_are_named_and_the_rest_is_done(tiny_cell_model):
    class Torn(Watched):
        def __getitem__(self, key):
            if key[0].step is None and key[0].start <= 70 < key[0].stop and key[1].start <= 90 < key[1].stop:
                raise InputError("Chunk 1, 1 is damaged.")
            return super().__getitem__(key)

    events = list(embed_image(tiny_cell_model, picture_with_store(tiny_cell_model, Torn(IMAGE)), levels=[0]))
    failed = [text for event in events for text in event.failed]
    assert failed == [f"Window {row},{col} of level 0: Chunk 1, 1 is damaged." for row in (32, 64) for col in (32, 64)]
    assert events[-1].done == events[-1].total == events[-1].encoded + 4


def test_parts_share_the_work_out_and_a_region_limits_it(tiny_cell_model, encoded):
    picture = picture_with_store(tiny_cell_model)
    lattice = picture.store.lattice
    whole = [site for block in list_blocks(lattice, [0, 1]) for site in block]
    counts = [list(embed_image(tiny_cell_model, picture, levels=[0, 1], part=(k, 3)))[-1].encoded for k in range(3)]
    assert sum(counts) == len(whole)
    assert min(counts) > 0
    region = (60, 100, 70, 110)
    near = {site for block in list_blocks(lattice, [0], region) for site in block}
    for row in range(60, 70):  # every window that a box in the region takes
        for col in range(100, 110):
            assert lattice.find(window_around(IMAGE.shape, 64, (row, col), 0)) in near
    assert len(near) < 10


def test_automatic_masks_and_prompts_take_the_same_windows(tiny_cell_model, encoded):
    picture = picture_with_store(tiny_cell_model)
    list(embed_image(tiny_cell_model, picture, levels=[-1, 0]))
    generator = AutomaticMaskGenerator(tiny_cell_model, points_per_side=2, points="grid", pred_iou_thresh=0.999)
    plain = replace(picture, store=None)
    windows = []
    for event in generator._search(replace(plain, keys={}), (0, 0, *IMAGE.shape), None):
        windows.append(event)
    assert windows
    encoded.clear()
    list(generator.__class__(tiny_cell_model, generator.settings)._search(picture, (0, 0, *IMAGE.shape), None))
    assert encoded == []


def test_automatic_masks_take_stored_windows_and_store_new_ones(tiny_cell_model, encoded):
    generator = AutomaticMaskGenerator(tiny_cell_model, points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0)
    plain = generator.generate(IMAGE)
    encoded.clear()

    def stored():
        store = open_store(tiny_cell_model, open_picture(IMAGE, "auto", None), source="a", precision="float32")
        again = AutomaticMaskGenerator(tiny_cell_model, generator.settings)
        return again.generate(IMAGE, store=store)

    assert stored() == plain
    assert sum(encoded) > 3
    encoded.clear()
    assert stored() == plain
    assert encoded == []


def test_everything_that_differs_is_named(tiny_cell_model, tiny_spec_cell, tmp_path):
    path = tmp_path / "here.zarr"
    picture_with_store(tiny_cell_model, path=path, source="a#0")
    other = build_from_spec(tiny_spec_cell, seed=5)
    with pytest.raises(InputError, match=r"the model weights \(stored .*give another folder") as caught:
        picture_with_store(other, path=path, source="a#0")
    assert "\n" not in str(caught.value)
    assert "the image (" not in str(caught.value)
    with pytest.raises(InputError, match=r"the image \(stored 'a#0', now 'b'.*the stored precision"):
        picture_with_store(tiny_cell_model, path=path, source="b", precision="float32")
    with pytest.raises(InputError, match=r"the image size.*the normalization"):
        picture_with_store(tiny_cell_model, IMAGE[:140] // 2, path=path, source="a#0")
    store = picture_with_store(tiny_cell_model, path=path, source="a#0").store
    with pytest.raises(InputError, match="the normalization"):
        Predictor(tiny_cell_model).set_image(IMAGE, normalization=(0, 100), store=store)
    with pytest.raises(InputError, match="float8"):
        picture_with_store(tiny_cell_model, precision="float8")
    zarr.create_group(tmp_path / "foreign.zarr")
    with pytest.raises(InputError, match="holds no embeddings"):
        picture_with_store(tiny_cell_model, path=tmp_path / "foreign.zarr")
    with pytest.raises(InputError, match="no embeddings in"):
        picture_with_store(tiny_cell_model, path=tmp_path / "none.zarr", read_only=True)


def test_each_model_and_normalisation_gets_a_folder_of_its_own(tiny_cell_model, tiny_spec_cell, folder):
    picture_with_store(tiny_cell_model, source="/data/slide.zarr#level=0")
    picture_with_store(build_from_spec(tiny_spec_cell, seed=5), source="/data/slide.zarr#level=0")
    picture_with_store(tiny_cell_model, IMAGE // 2, source="/data/slide.zarr#level=0")
    picture_with_store(tiny_cell_model, source="/data/slide.zarr#level=0")
    assert len(list(folder.glob("slide.zarr-level-0-*.zarr"))) == 3


def test_damaged_files_count_as_missing_and_are_mended(tiny_cell_model, encoded):
    picture = picture_with_store(tiny_cell_model)
    list(embed_image(tiny_cell_model, picture, levels=[0]))
    want = predictor_with(tiny_cell_model).predict(**BOX)
    for file in picture.store.path.glob("0/skip*/c/**/0"):
        data = bytearray(file.read_bytes()) if file.is_file() else bytearray()
        data[len(data) // 5 : len(data) // 5 + 2000] = os.urandom(2000) if data else b""
        if data:
            file.write_bytes(data)
    for file in picture.store.path.glob("0/features/c/**/0"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-50])  # the shard's index is gone
    encoded.clear()
    for expected in (True, False):
        got = predictor_with(tiny_cell_model).predict(**BOX)
        np.testing.assert_array_equal(got.logits, want.logits)
        assert bool(encoded) == expected
        encoded.clear()


def test_a_full_disk_stops_the_filling_but_not_a_prompt(tiny_cell_model, monkeypatch):
    picture = picture_with_store(tiny_cell_model)
    want = predictor_with(tiny_cell_model).predict(**BOX)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_sam.inference.embedding_store._write", full)
    with pytest.raises(InputError, match=r"No space left on device.*make room"):
        list(embed_image(tiny_cell_model, picture, levels=[1]))
    with pytest.warns(UserWarning, match="No space left.*not kept"):
        got = predictor_with(tiny_cell_model).predict(box=(5, 5, 30, 30))
    assert got.masks.shape == want.masks.shape


def test_a_store_opened_for_reading_serves_and_stays_as_it_is(tiny_cell_model, encoded):
    store = picture_with_store(tiny_cell_model).store
    want = predictor_with(tiny_cell_model).predict(**BOX)
    files = {file: file.stat().st_mtime_ns for file in store.path.rglob("*") if file.is_file() and file.name != USED}
    encoded.clear()
    predictor = predictor_with(tiny_cell_model, read_only=True)
    np.testing.assert_array_equal(predictor.predict(**BOX).logits, want.logits)
    assert encoded == []
    predictor.predict(box=(100, 190, 130, 220))
    assert encoded
    now = {file: file.stat().st_mtime_ns for file in store.path.rglob("*") if file.is_file() and file.name != USED}
    assert now == files


def test_whole_stores_are_evicted_the_longest_unused_first(tiny_cell_model, folder, monkeypatch):
    stores = []
    for number in range(4):
        picture = picture_with_store(tiny_cell_model, source=f"image{number}")
        list(embed_image(tiny_cell_model, picture, levels=[2]))
        stores.append(picture.store.path)
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("x" * 100_000)
    size = embedding_folder._bytes_of(stores[0])
    assert evict(folder, 2 * size) == []  # all in use
    hour = time.time() - 3600
    for number, age in enumerate((0, -50, -100, -10)):
        os.utime(stores[number] / USED, (hour + age, hour + age))
    assert evict(folder, int(2.5 * size)) == [stores[2], stores[1]]
    assert evict(folder, int(2.5 * size)) == []
    assert evict(folder, 0, spare=[stores[3]]) == [stores[0]]
    assert (folder / "notes" / "mine.txt").exists()
    assert evict(folder / "nothing", 0) == []
    assert picture_with_store(tiny_cell_model, source="image2").store.path == stores[2]  # made again


WRITER = """
import sys, random
import numpy as np, torch
sys.path.insert(0, {tests!r})
from conftest import TINY_CELL
from napari_sam.inference.embedding_store import EmbeddingStore
from napari_sam.inference.lattice import Lattice
from napari_sam.inference.store_identity import StoreIdentity
from test_embedding_store import IDENTITY, content, all_sites
lattice = Lattice(TINY_CELL, IDENTITY.shape)
store = EmbeddingStore({path!r}, IDENTITY, lattice)
sites = all_sites(lattice)
random.Random({seed}).shuffle(sites)
print("ready", flush=True)
for site in sites:
    store.put(lattice.window(site), str(site), content(site))
"""
IDENTITY = StoreIdentity(
    source="shared",
    shape=(190, 190),
    channels=None,
    normalization=Normalization(low=(0.0,), high=(1.0,)),
    weights="w",
    computed="float32",
    preprocess="sam",
    img_size=64,
    step=32,
    precision="float16",
)


def content(site):
    """An embedding that tells its site."""
    base = torch.full((1, 4, 8, 8), float(site[1] * 50 + site[2])) + torch.arange(8.0)
    return ImageEmbedding(base, (base.repeat(1, 1, 2, 2) + 1, base.repeat(1, 1, 4, 4) + 2))


def all_sites(lattice):
    return [site for level in (0, 1) for block in lattice.blocks(level, 4) for site in block]


def writers(path, seeds):
    here = os.path.dirname(__file__)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)])}
    scripts = [WRITER.format(tests=os.path.dirname(here), path=str(path), seed=seed) for seed in seeds]
    return [
        subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True)
        for script in scripts
    ]


def test_several_processes_fill_one_store_and_some_are_killed(tmp_path, tiny_spec_cell):
    path = tmp_path / "shared.zarr"
    lattice = Lattice(tiny_spec_cell, IDENTITY.shape)
    rng = np.random.default_rng(0)
    running = writers(path, range(3))
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running[:2]:
        time.sleep(float(rng.uniform(0.05, 0.2)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = EmbeddingStore(path, IDENTITY, lattice)
    for complete in (False, True):
        found = 0
        for site in all_sites(lattice):  # while the last one goes on, and after
            embedding = store.get(lattice.window(site), str(site))
            if embedding is not None:
                found += 1
                want = content(site)
                for one, other in zip(
                    (embedding.features, *embedding.skips), (want.features, *want.skips), strict=True
                ):
                    torch.testing.assert_close(one, other, rtol=0, atol=0)
        if not complete:
            assert running[2].wait(timeout=120) == 0
    assert found == len(all_sites(lattice))


def test_what_is_there_already_is_not_written_again(tmp_path, tiny_spec_cell):
    """A process that is killed while writing it again would take it away from the others."""
    lattice = Lattice(tiny_spec_cell, IDENTITY.shape)
    store, site = EmbeddingStore(tmp_path / "a.zarr", IDENTITY, lattice), all_sites(lattice)[0]
    window = lattice.window(site)

    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (tmp_path / "a.zarr" / "0").rglob("*")}

    store.put(window, "one", content(site))
    before = files()
    assert EmbeddingStore(tmp_path / "a.zarr", IDENTITY, lattice).put(window, "one", content(site))
    assert files() == before
    store.put(window, "two", content(site))
    assert files() != before
    assert store.get(window, "one") is None


def test_identities_differ_by_precision_of_the_model(tiny_spec_cell):
    model = build_from_spec(tiny_spec_cell)
    normal = Normalization(low=(0.0,), high=(1.0,))
    first = identity_of(model, (5, 5), normal, (0, 1))
    model.precision = "bfloat16"
    second = identity_of(model, (5, 5), normal, (0, 1))
    assert first.digest != second.digest
    with pytest.raises(InputError, match="the model precision"):
        second.check(first.record(), "x")
    second.check(second.record(), "x")
