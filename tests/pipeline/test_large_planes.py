from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam.io.journal import digest_array
from napari_sam.pipeline import large_planes
from napari_sam.pipeline.large_planes import digest_image, is_large


def test_small_planes_are_hashed_whole() -> None:
    image = np.arange(600, dtype=np.uint16).reshape(20, 30)
    assert not is_large((20, 30))
    assert digest_image(image) == digest_array(image)


def test_of_large_planes_some_blocks_are_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_planes, "LARGE_PLANE", 10_000)
    image = np.random.default_rng(0).integers(0, 99, (700, 900, 3)).astype(np.uint8)
    read: list[int] = []

    class Counted:
        shape = image.shape

        def __getitem__(self, key: Any) -> Any:
            read.append(image[key].size)
            return image[key]

    assert is_large(image.shape)
    before = digest_image(Counted())
    assert before.startswith("sampled-")
    assert sum(read) == 16 * 64 * 64 * 3
    image[-1, -1, 0] += 1  # in the last block
    assert digest_image(image) != before
