"""Sample pictures need no network, and the demo's clicks lie on its picture."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from napari_sam import sample_data


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("tissue", (512, 512, 3)), ("stroma", (600, 600, 3)), ("cell", (660, 550)), ("coins", (303, 384))],
)
def test_real_pictures(name: str, shape: tuple[int, ...]) -> None:
    image = getattr(sample_data, name)()
    assert image.shape == shape
    assert image.dtype == np.uint8
    assert image.std() > 5


def test_nuclei_are_the_same_for_the_same_seed() -> None:
    first, again, other = (sample_data.nuclei((128, 96), seed=seed) for seed in (3, 3, 4))
    assert first.image.shape == (128, 96, 3)
    assert first.labels.max() > 0
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_demo_clicks_lie_on_the_picture_and_apart() -> None:
    sample = sample_data.demo_sample()
    clicks = np.array(sample.clicks)
    assert (clicks >= 0).all()
    assert (clicks < sample.image.shape[:2]).all()
    assert len({tuple(click) for click in sample.clicks}) == len(sample.clicks) >= 10
