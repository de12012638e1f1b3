"""The cache keeps what was used last, counts bytes, and tells apart what gives another embedding."""

from __future__ import annotations

import threading

import numpy as np
import torch

from napari_sam.inference.embedding_cache import EmbeddingCache, embedding_key
from napari_sam.inference.windows import whole_window
from napari_sam.model.build import build_from_spec
from napari_sam.model.sam import ImageEmbedding


def embedding(cells: int) -> ImageEmbedding:
    """4 * cells bytes, a part of them skips."""
    return ImageEmbedding(torch.zeros(1, 1, 1, cells - 1), (torch.zeros(1, 1, 1, 1),))


def test_bytes_count_skips_too():
    assert embedding(10).nbytes == 40


def test_what_was_not_used_for_longest_goes_first():
    cache = EmbeddingCache(max_bytes=120)
    for key in "abc":
        cache.put(key, embedding(10))
    assert cache.get("a") is not None
    cache.put("d", embedding(10))
    assert cache.get("b") is None
    assert all(cache.get(key) is not None for key in "acd")


def test_one_large_embedding_drops_many_and_always_stays():
    cache = EmbeddingCache(max_bytes=120)
    for key in "abc":
        cache.put(key, embedding(10))
    large = embedding(1000)
    cache.put("large", large)
    assert len(cache) == 1
    assert cache.get("large") is large
    cache.put("a", embedding(10))
    assert cache.get("large") is None
    for key in "bc":
        cache.put(key, embedding(10))
    assert len(cache) == 3


def test_putting_again_counts_once():
    cache = EmbeddingCache(max_bytes=120)
    for _ in range(5):
        cache.put("a", embedding(10))
    cache.put("b", embedding(20))
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0
    cache.put("c", embedding(30))
    cache.put("d", embedding(1))
    assert cache.get("c") is None


def test_key_tells_apart_pixels_shapes_and_models(tiny_spec_vit, tiny_vit_model):
    rgb = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    window = whole_window((4, 6), 64)
    key = embedding_key(rgb, window, tiny_vit_model)
    assert key == embedding_key(rgb.copy(), window, tiny_vit_model)
    assert key == embedding_key(np.asfortranarray(rgb), window, build_from_spec(tiny_spec_vit))
    assert key != embedding_key(rgb + 1, window, tiny_vit_model)
    assert key != embedding_key(rgb.reshape(6, 4, 3), window, tiny_vit_model)
    assert key != embedding_key(rgb, whole_window((4, 6), 32), tiny_vit_model)
    assert key != embedding_key(rgb, window, build_from_spec(tiny_spec_vit, seed=1))


def test_several_threads_keep_the_count_right():
    cache = EmbeddingCache(max_bytes=400)

    def fill(offset):
        for i in range(200):
            cache.put(f"{(i + offset) % 17}", embedding(10))
            cache.get(f"{i % 17}")

    threads = [threading.Thread(target=fill, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 10
