"""Synthetic scenes: seeded, labelled without gaps, objects that can be seen."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from napari_sam.data.scene import LEAST_AREA
from napari_sam.data.scene_light import smooth_field
from napari_sam.data.scene_shapes import blobs, nuclei_inside, place, tessellate
from napari_sam.data.synthetic import KINDS, synthetic_sample, synthetic_scene
from napari_sam.errors import InputError


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_picture(kind):
    a = synthetic_scene(np.random.default_rng(5), (96, 128), kind)
    b = synthetic_scene(np.random.default_rng(5), (96, 128), kind)
    c = synthetic_scene(np.random.default_rng(6), (96, 128), kind)
    np.testing.assert_array_equal(a.sample.image, b.sample.image)
    np.testing.assert_array_equal(a.sample.labels, b.sample.labels)
    np.testing.assert_array_equal(a.parts, b.parts)
    assert not np.array_equal(a.sample.image, c.sample.image)
    assert a.sample.image.shape == (96, 128, 3)
    assert a.sample.image.dtype == np.uint8


def test_nuclei_stay_bit_for_bit():
    sample = synthetic_sample(np.random.default_rng(3), (64, 80), "nuclei")
    digest = hashlib.sha256(sample.image.tobytes() + sample.labels.tobytes()).hexdigest()
    assert digest == "c0537d0143e76c2a228a91da50899d4a44f3e1821ce4c573197bee69cd66ac99"


@pytest.mark.parametrize("kind", KINDS)
def test_labels_have_no_gaps_and_objects_have_an_area(kind):
    seen = 0
    for seed in range(12):
        scene = synthetic_scene(np.random.default_rng(seed), (128, 128), kind)
        labels, parts = scene.sample.labels, scene.parts
        assert labels.dtype == parts.dtype == np.int32
        least = 8 if kind == "nuclei" else LEAST_AREA
        assert (np.bincount(labels.ravel())[1:] >= least).all()
        assert (np.bincount(parts.ravel())[1:] >= LEAST_AREA).all()
        assert 5 < scene.sample.image.std() < 120
        seen += labels.max() > 0
    assert seen >= 9


@pytest.mark.parametrize("kind", ["cells", "em", "phase"])
def test_every_part_lies_in_one_object(kind):
    count = 0
    for seed in range(12):
        scene = synthetic_scene(np.random.default_rng(seed), (160, 160), kind)
        for number in range(1, int(scene.parts.max()) + 1):
            (owner,) = np.unique(scene.sample.labels[scene.parts == number])
            assert owner > 0
            assert (scene.sample.labels == owner).sum() > (scene.parts == number).sum()
            count += 1
    assert count > 10


def test_any_size_and_all_kinds_but_the_slow_one():
    for size in ((32, 48), (1, 40), (700, 300)):
        assert synthetic_sample(np.random.default_rng(1), size).labels.shape == size
    for kind in KINDS:
        assert synthetic_sample(np.random.default_rng(1), (16, 24), kind).image.shape == (16, 24, 3)
    with pytest.raises(InputError, match="fluorescence"):
        synthetic_sample(np.random.default_rng(0), (32, 32), "galaxies")


def test_the_count_is_followed():
    for kind in ("fluorescence", "stained", "rods", "phase"):
        most = max(
            synthetic_sample(np.random.default_rng(seed), (128, 128), kind, count=6).labels.max() for seed in range(8)
        )
        assert 4 <= most <= 6


def test_nuclei_are_brighter_and_stained_objects_darker_than_their_ground():
    right = {"nuclei": 0, "fluorescence": 0, "stained": 0, "tissue": 0}
    for seed in range(12):
        for kind in right:
            sample = synthetic_sample(np.random.default_rng(seed), (128, 128), kind, count=12)
            inside = sample.labels > 0
            difference = float(sample.image[inside].mean()) - float(sample.image[~inside].mean())
            right[kind] += (difference > 0) == (kind in ("nuclei", "fluorescence"))
    assert right["stained"] == right["tissue"] == 12
    assert min(right["nuclei"], right["fluorescence"]) >= 8  # a tenth of all scenes is shown dark on bright


def test_membranes_are_dark_and_no_ones():
    rims = []
    for seed in range(10):
        sample = synthetic_sample(np.random.default_rng(seed), (160, 160), "em")
        rim = ndimage.binary_dilation(sample.labels > 0) & (sample.labels == 0)
        rims.append(float(sample.image[sample.labels > 0].mean()) - float(sample.image[rim].mean()))
    assert np.median(rims) > 20


def test_textures_are_as_bright_as_their_ground():
    gaps = []
    for seed in range(10):
        sample = synthetic_sample(np.random.default_rng(seed), (160, 160), "textures")
        if sample.labels.any():
            inside = sample.labels > 0
            gaps.append(abs(float(sample.image[inside].mean()) - float(sample.image[~inside].mean())))
    assert np.median(gaps) < 20


@pytest.mark.parametrize("kind", ["nuclei", "fluorescence", "clumps"])
def test_clumps_touch(kind):
    touching = 0
    for seed in range(20):
        labels = synthetic_sample(np.random.default_rng(seed), (160, 160), kind).labels
        side = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
        touching += bool(side.any())
    assert touching >= 8


@pytest.mark.parametrize("sigma", [0.8, 5.0, 12.0, (1.0, 8.0)])
def test_fields_are_as_smooth_as_asked_for(sigma):
    field = np.concatenate([smooth_field(np.random.default_rng(seed), (200, 240), sigma) for seed in range(4)])
    assert field.shape == (800, 240)
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)
    across = float(np.broadcast_to(sigma, 2)[1])
    step = max(1, round(across))
    # white noise blurred with sigma correlates by exp(-d^2 / 4 sigma^2) at a distance d
    found = float((field[:, step:] * field[:, :-step]).mean())
    assert found == pytest.approx(np.exp(-(step**2) / (4 * across**2)), abs=0.15)


def test_a_tessellation_leaves_no_pixel_out():
    labels = tessellate(np.random.default_rng(0), (120, 150), 15, irregular=0.6)
    assert labels.min() > 0
    areas = np.bincount(labels.ravel())
    assert 0.5 < np.sqrt(np.median(areas[areas > 0]) / np.pi) / 15 < 1.5


def test_objects_do_not_cover_each_other_much():
    rng = np.random.default_rng(0)
    outlines = blobs(rng, 60, 9)
    labels = place(rng, (128, 128), outlines, clumps=0.8)
    alone = [np.count_nonzero(place(rng, (128, 128), outlines[i : i + 1], at=np.array([[64.0, 64.0]]))) for i in (0, 1)]
    assert min(alone) > 100
    areas = np.bincount(labels.ravel())[1:]
    assert (areas > 0).all()
    assert np.median(areas) > 0.8 * np.pi * 81


def test_nuclei_stay_in_their_cells():
    labels = tessellate(np.random.default_rng(2), (120, 120), 18)
    parts = nuclei_inside(np.random.default_rng(3), labels, missing=0)
    assert (labels[parts > 0] == parts[parts > 0]).all()
    assert len(np.unique(parts)) > 0.7 * len(np.unique(labels))
