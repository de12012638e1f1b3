from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from napari_sam.batch import segmenters, text_segmenter
from napari_sam.batch.segmenters import AutoSegmenter, ModelChoice, PromptSegmenter, open_segmenter
from napari_sam.batch.tiles import plan_tiles
from napari_sam.config.auto import AutoSettings
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.inference.brightness import stack_normalization
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import resolve_normalization
from napari_sam.inference.predictor import Predictor
from napari_sam.io.large_image import open_large_image
from napari_sam.io.prompt_table import group_prompts, read_prompt_table
from napari_sam.model.clip import Clip, build_clip
from napari_sam.model.sam import Sam
from napari_sam.ops.label_image import masks_to_labels
from napari_sam.pipeline.segment import segment_each
from napari_sam.types import Prompts
from threshold_segmenter import blobs, read_labels, run, write_zarr

AUTO = AutoSettings(
    points_per_side=5, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=0.3, min_area=4, overlap="whole"
)


@pytest.fixture
def model(tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch) -> Sam:
    """Stands for any model that a job asks for; whatever processes that load their own get is not used here."""
    monkeypatch.setattr(segmenters, "load_model", lambda name, **_: tiny_cell_model)
    segmenters._load.cache_clear()
    segmenters._predictor.cache_clear()
    yield tiny_cell_model
    segmenters._load.cache_clear()
    segmenters._predictor.cache_clear()


@pytest.fixture
def choice(model: Sam) -> ModelChoice:
    return ModelChoice(name="cells", checkpoint="", device="cpu", precision="float32", fingerprint=model.fingerprint)


def job(source: Path, output: Path | None, **settings: Any) -> Any:
    return run(source, output, segmenter=None, **({"tile": 64, "overlap": 16} | settings))


def test_one_tile_equals_the_untiled_result(model: Sam, tmp_path: Path) -> None:
    image = blobs((90, 80), 1, 10)
    job(write_zarr(tmp_path / "in.zarr", image), tmp_path / "out.zarr", tile=128, auto=AUTO)
    generator = AutomaticMaskGenerator(model, AUTO)
    expected = masks_to_labels(generator.generate(image), image.shape, AUTO, image=image)
    assert expected.max() > 1
    np.testing.assert_array_equal(read_labels(tmp_path / "out.zarr"), expected)


def test_tiles_look_at_their_own_pixels_only(choice: ModelChoice, tmp_path: Path) -> None:
    image = blobs((150, 140), 2, 20)
    plane = open_large_image(write_zarr(tmp_path / "in.zarr", image, chunks=32)).plane()
    normalization = resolve_normalization(image)
    segmenter = AutoSegmenter(model=choice, normalization=normalization, settings=AUTO)
    tile = plan_tiles(image.shape, 64, 16)[4]
    row0, col0, row1, col1 = tile.box
    records = segmenter.segment(plane, tile).records
    cut = AutomaticMaskGenerator(choice.load(), AUTO).generate(image[row0:row1, col0:col1], normalization=normalization)
    labels = masks_to_labels(cut, (row1 - row0, col1 - col0), AUTO)
    assert len(records) == labels.max() > 0
    for number, record in enumerate(records, start=1):
        assert record.image_shape == image.shape
        np.testing.assert_array_equal(record.mask[row0:row1, col0:col1], labels == number)


@pytest.mark.parametrize("name", ["fingerprint", "text_fingerprint"])
def test_other_weights_are_refused(choice: ModelChoice, name: str) -> None:
    other = ModelChoice(**(choice.__dict__ | {name: "0" * 32}))
    with pytest.raises(InputError, match="weights of the model cells are others here"):
        other.load()


def test_prompts_of_a_table_keep_their_ids(model: Sam, tmp_path: Path) -> None:
    image = blobs((150, 140), 2, 20)
    table = tmp_path / "prompts.csv"
    table.write_text(
        "object_id,kind,row,col,row1,col1,label,t,z,text\n"
        "70,point,20,30,,,1,,,\n"
        "5,box,60,50,90,80,,,,\n"
        "70,point,25,33,,,1,,,\n"
        "6,point,140,130,,,1,,,\n"
        "8,point,500,130,,,1,,,\n"
    )
    last = job(
        write_zarr(tmp_path / "in.zarr", image), tmp_path / "out.zarr", mode="prompts", prompts=str(table), tile=96
    )
    assert [unit.name for unit in last.failed] == ["object 8"]
    predictor = Predictor(model)
    predictor.set_image(image)
    expected = np.zeros(image.shape, int)
    said = {
        70: Prompts(points=((20, 30), (25, 33)), labels=(1, 1)),
        5: Prompts(box=(60, 50, 90, 80)),
        6: Prompts(points=((140, 130),), labels=(1,)),
    }
    for number, what in reversed(said.items()):  # the first of the table keep what they share
        expected[predictor.predict_prompts(what).masks[0]] = number
    np.testing.assert_array_equal(read_labels(tmp_path / "out.zarr"), expected)
    again = job(tmp_path / "in.zarr", tmp_path / "out.zarr", mode="prompts", prompts=str(table), tile=96)
    assert [unit.name for unit in again.failed] == ["object 8"]
    table.write_text(table.read_text().replace("70", "71"))
    with pytest.raises(InputError, match="begun with prompts"):
        job(tmp_path / "in.zarr", tmp_path / "out.zarr", mode="prompts", prompts=str(table), tile=96)


@pytest.mark.parametrize("seeds", ["box", "point"])
def test_seeds_become_boxes_or_points_whatever_tiles_cut_them(
    model: Sam, tmp_path: Path, seeds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sam.batch.prompt_units.BLOCK", 32)
    image = np.stack([blobs((150, 140), k, 20) for k in range(2)])
    marks = np.zeros(image.shape, np.uint16)
    marks[0, 50:80, 40:75] = 3
    marks[0, 60:70, 50:65] = 0  # a ring: its middle is no seed
    marks[1, 100:120, 20:25] = 9
    marks[1, 0, 0] = 4
    table = write_zarr(tmp_path / "seeds.zarr", marks, ("z", "y", "x"))
    source = write_zarr(tmp_path / "in.zarr", image, ("z", "y", "x"))
    said: list[tuple[int, Prompts]] = []
    real = Predictor.predict_prompts

    def spy(self: Predictor, what: Prompts, *arguments: Any, **named: Any) -> Any:
        said.append((0, what))
        return real(self, what, *arguments, **named)

    monkeypatch.setattr(Predictor, "predict_prompts", spy)
    job(source, tmp_path / "out.zarr", mode="prompts", prompts=str(table), seeds=seeds)
    prompts = {what for _, what in said}
    if seeds == "box":
        assert prompts == {Prompts(box=b) for b in ((50, 40, 80, 75), (100, 20, 120, 25), (0, 0, 1, 1))}
    else:
        assert {what.points[0] for what in prompts} == {(59, 57), (109, 22), (0, 0)}
    assert set(np.unique(read_labels(tmp_path / "out.zarr"))) <= {0, 3, 4, 9}
    with pytest.raises(InputError, match="give seeds of the image's size"):
        job(
            write_zarr(tmp_path / "small.zarr", image[0]),
            None or tmp_path / "o.zarr",
            mode="prompts",
            prompts=str(table),
        )


TABLE = (
    "object_id,kind,row,col,row1,col1,label,t,z,text\n"
    "70,point,20,30,,,1,,,{0}\n"
    "70,point,25,33,,,0,,,\n"
    "5,box,60,50,90,80,,,,{0}\n"
    "9,text,,,,,,,,{0}\n"
    "6,box,100,90,140,130,,,,\n"
    "9,point,120,40,,,1,,,\n"
)


@pytest.fixture
def named(request: pytest.FixtureRequest, model: Sam, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sam, Clip]]:
    """Stand for any model that a job asks for with one that has a text head, and for the bundled CLIP with its."""
    clip, model = build_clip(), copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        head = model.add_text_head(clip.width, decoder=getattr(request, "param", False))
        head.projection[-1].weight.mul_(20)  # at first a text says little
        head.belong_to(clip.fingerprint)
    known = {"bundled": clip, "clip_vit_b_32": build_clip(seed=1)}
    monkeypatch.setattr(segmenters, "load_model", lambda name, **_: model)
    monkeypatch.setattr(text_segmenter, "load_clip", lambda name, **_: known[name])
    text_segmenter._load.cache_clear()
    yield model, clip
    text_segmenter._load.cache_clear()


@pytest.mark.parametrize("named", [False, True], indirect=True, ids=["one decoder", "own decoder"])
def test_texts_of_a_table_say_what_its_objects_are(named: tuple[Sam, Clip], tmp_path: Path) -> None:
    image = blobs((150, 140), 2, 20)
    predictor = Predictor(named[0], clip=named[1])
    predictor.set_image(image)
    table = tmp_path / "prompts.csv"
    given = {"mode": "prompts", "prompts": str(table), "tile": 96}
    source, seen = write_zarr(tmp_path / "in.zarr", image), []
    for text in ("bright nuclei", "debris"):
        table.write_text(TABLE.format(text))
        if seen:
            with pytest.raises(InputError, match="begun with prompts"):
                job(source, tmp_path / "out.zarr", **given)
        job(source, tmp_path / "out.zarr", restart=bool(seen), **given)
        expected, _ = segment_each(predictor, group_prompts(read_prompt_table(table, image.shape).rows, image.shape))
        np.testing.assert_array_equal(read_labels(tmp_path / "out.zarr"), expected)
        seen.append(expected)
    table.write_text(TABLE.replace("9,text,,,,,,,,{0}\n", "").format(""))
    job(source, tmp_path / "plain.zarr", **given)
    plain = read_labels(tmp_path / "plain.zarr")
    for number in (70, 5, 9):
        for one, other in ((seen[0], seen[1]), (seen[0], plain)):
            assert ((one == number) != (other == number)).any()


def test_the_clip_of_texts_is_part_of_the_job(named: tuple[Sam, Clip], tmp_path: Path) -> None:
    model, clip = named
    table = tmp_path / "prompts.csv"
    settings = BatchSettings(mode="prompts", prompts=str(table))
    weights = segmenters.choose_model(settings)
    normalization = resolve_normalization(blobs((60, 60)))
    table.write_text("object_id,kind,row,col,text\n1,point,5,6,\n")
    assert open_segmenter(settings, weights, normalization).fingerprint == model.fingerprint
    table.write_text("object_id,kind,row,col,text\n1,point,5,6,bright nuclei\n")
    segmenter = open_segmenter(settings, weights, normalization)
    assert segmenter.fingerprint == f"{model.fingerprint}-{model.text_fingerprint}-{clip.fingerprint}"
    assert pickle.loads(pickle.dumps(segmenter)) == segmenter  # as it goes to workers


@pytest.mark.parametrize(
    ("row", "head", "message"),
    [
        ("3,point,9,9,debris", False, "^The model .* has no text head"),
        ("3,point,9,9,debris", True, "^The text head was not trained with the CLIP 'clip_vit_b_32'"),
        ("3,text,,,debris", False, "^Object 3 of .* is but the text 'debris'"),
    ],
)
def test_texts_that_cannot_be_read_are_refused_before_anything_is_written(
    model: Sam, request: pytest.FixtureRequest, tmp_path: Path, row: str, head: bool, message: str
) -> None:
    if head:
        request.getfixturevalue("named")
    source = write_zarr(tmp_path / "in.zarr", blobs((60, 60)))
    table = tmp_path / "prompts.csv"
    table.write_text(f"object_id,kind,row,col,text\n1,point,5,6,\n{row}\n")
    before = {*tmp_path.rglob("*")}
    with pytest.raises(InputError, match=message):
        job(source, tmp_path / "out.zarr", mode="prompts", prompts=str(table), clip="clip_vit_b_32")
    assert {*tmp_path.rglob("*")} == before


def test_rows_without_their_plane_are_refused(model: Sam, tmp_path: Path) -> None:
    table = tmp_path / "prompts.csv"
    table.write_text("object_id,kind,row,col,row1,col1,label,t,z,text\n7,point,20,30,,,1,,,\n")
    source = write_zarr(tmp_path / "in.zarr", np.zeros((2, 50, 50), np.uint8), ("z", "y", "x"))
    with pytest.raises(InputError, match=r"Object 7 .* is on 2 planes"):
        job(source, tmp_path / "out.zarr", mode="prompts", prompts=str(table))


def test_threads_are_fixed_in_units_and_restored(choice: ModelChoice, tmp_path: Path) -> None:

    seen = []
    real = segmenters._load

    def spy(*arguments: Any) -> Any:
        seen.append(torch.get_num_threads())
        return real(*arguments)

    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenters, "_load", spy)
        source = write_zarr(tmp_path / "in.zarr", blobs((60, 60), 3, 4))
        job(source, tmp_path / "out.zarr", threads=2, auto=AUTO)
    assert seen[-1] == 2
    assert torch.get_num_threads() == before


def test_a_prompt_segmenter_finds_nothing_without_prompts(choice: ModelChoice, tmp_path: Path) -> None:
    plane = open_large_image(write_zarr(tmp_path / "in.zarr", blobs((50, 50)))).plane()
    segmenter = PromptSegmenter(model=choice, normalization=resolve_normalization(np.asarray(plane)))
    found = segmenter.segment(plane, plan_tiles((50, 50))[0], {"id": np.empty(0, np.int64)})
    assert (found.records, len(found.ids)) == ([], 0)


def test_one_normalization_for_a_stack_as_of_its_planes_below_each_other() -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, top, (130, 90)).astype(np.uint16) for top in (100, 4000, 60000)]
    assert stack_normalization(planes, "auto") == resolve_normalization(np.concatenate(planes), "auto")
    assert stack_normalization(planes[:1], "auto") == resolve_normalization(planes[0], "auto")
    assert stack_normalization(planes, (3, 9)).low == (3.0,)
    large = [np.arange(1300 * 900, dtype=np.uint32).reshape(1300, 900)] * 2  # every second pixel is looked at
    assert stack_normalization(large, "auto") == resolve_normalization(np.concatenate(large), "auto")


def test_normalization_gets_by_without_a_damaged_chunk(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 5000, (3000, 60)).astype(np.uint16)
    source = write_zarr(tmp_path / "in.zarr", image, chunks=60)
    whole = resolve_normalization(image)
    (source / "c" / "3" / "0").write_bytes(b"damaged")
    found = stack_normalization([open_large_image(source).plane()], "auto")
    assert found.low == pytest.approx(whole.low, abs=50)
    assert found.high == pytest.approx(whole.high, abs=50)
    for chunk in (source / "c").rglob("0"):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    with pytest.raises(InputError, match="Cannot read"):
        stack_normalization([open_large_image(source).plane()], "auto")
    assert zarr.open_array(source, mode="r").shape == image.shape


@pytest.mark.parametrize(
    ("gpus", "asked", "worker", "chosen"),
    [
        (4, "auto", "2", "cuda:2"),
        (4, "cuda", "SLURMCluster-5", "cuda:1"),
        (4, "auto", None, "auto"),
        (4, "cpu", "2", "cpu"),
        (1, "auto", "2", "auto"),
    ],
)
def test_each_worker_takes_a_gpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch, gpus: int, asked: str, worker: str | None, chosen: str
) -> None:
    def get_worker() -> Any:
        if worker is None:
            raise ValueError("No worker found")
        return SimpleNamespace(name=worker)

    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("distributed.get_worker", get_worker)
    assert segmenters.device_of_worker(asked) == chosen
