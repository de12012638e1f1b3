"""Objects of images and scenes, and what is added to them."""

from __future__ import annotations

import numpy as np
import pytest

from data_folders import write_folder
from napari_sam.config.caption_words import FACETS
from napari_sam.data.caption_objects import SCENES, describe_labels, describe_scene, draw_filaments, known_facts
from napari_sam.data.captions import UNKNOWN
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sample import Sample
from napari_sam.data.sources import list_images
from napari_sam.data.synthetic import KINDS

NAMES = list(FACETS)
KIND = NAMES.index("kind")


def kinds(codes: np.ndarray) -> list[str | None]:
    return [None if code == UNKNOWN else FACETS["kind"][code] for code in codes[:, KIND]]


def three_touching() -> Sample:
    labels = np.zeros((160, 160), np.int32)
    for number, col in enumerate((20, 32, 44, 110), start=1):
        labels[20:32, col : col + 12] = number
    image = np.where(labels[..., None] > 0, 180, 40).astype(np.uint8).repeat(3, axis=-1)
    return Sample(image=image, labels=labels)


def test_clumps_debris_and_background_are_added():
    sample = three_touching()
    found = [describe_labels(sample, np.random.default_rng(seed), kind="nucleus") for seed in range(8)]
    assert {kind for one in found for kind in kinds(one.codes)} == {"nucleus", "clump", "debris", "background"}
    for one in found:
        assert kinds(one.codes)[:4] == ["nucleus"] * 4
        assert one.side == 12
        for record, kind in zip(one.records, kinds(one.codes), strict=True):
            own = sample.labels[record.slices][record.patch]
            assert (own > 0).all() if kind in ("nucleus", "clump") else not own.any()
            before, after = (image[record.slices][record.patch] for image in (sample.image, one.image))
            assert (before == after).all() or kind == "debris"
            if kind == "clump":
                assert {*own} == {1, 2, 3}
            if kind == "debris":
                assert abs(after.mean() - 40.0) > 20  # it can be seen


def test_without_extras_and_with_a_limit():
    found = describe_labels(three_touching(), np.random.default_rng(0), most=2, extras=False)
    assert len(found.records) == len(found.codes) == 2
    assert found.side == 12  # of all
    nothing = Sample(image=np.zeros((40, 40, 3), np.uint8), labels=np.zeros((40, 40), np.int32))
    assert len(describe_labels(nothing, np.random.default_rng(0), extras=False).records) == 0


@pytest.mark.parametrize("name", SCENES)
def test_scenes_follow_from_their_seed_and_know_what_they_show(name):
    one, same = (describe_scene(np.random.default_rng(5), (128, 128), name, most=10) for _ in range(2))
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.codes, same.codes)
    assert len(one.records) == len(one.codes) > 0
    modality, kind = SCENES[name]
    if kind is not None:
        assert kind in kinds(one.codes)
    if modality is not None:
        assert (one.codes[:, NAMES.index("modality")] != UNKNOWN).all()


def test_all_kinds_of_scenes_are_used():
    assert {*KINDS[1:], "filaments"} == {*SCENES}


def test_filaments_are_long_and_whole():
    from scipy import ndimage

    sample = draw_filaments(np.random.default_rng(1), (160, 160))
    found = describe_labels(sample, np.random.default_rng(0), kind="filament", extras=False)
    shapes = found.codes[:, NAMES.index("shape")]
    assert np.mean(shapes == FACETS["shape"].index("elongated")) > 0.4
    for record in found.records:
        assert ndimage.label(record.patch, np.ones((3, 3)))[1] == 1


def test_facts_come_from_the_group_or_the_path(tmp_path):
    images, _ = list_images([str(write_folder(tmp_path / "axon_sem", ["a"])) + "?every=2"])
    assert known_facts(images[0]) == ("electron microscopy", "axon")
    images, _ = list_images([str(write_folder(tmp_path / "mine", ["a"]))])
    assert known_facts(images[0]) == (None, None)
    grouped = LabelledImage(name="x", source="y", read_image=lambda: 0, read_labels=lambda: 0, group="purple_tissue")
    assert known_facts(grouped) == ("stained tissue", "nucleus")
