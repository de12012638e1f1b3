"""The faster products leave no trace: neither in the results nor in the setting that chooses them."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch

from napari_sam.model import products
from napari_sam.model.products import fast_products


@pytest.fixture
def setting(monkeypatch):
    """A stand-in for PyTorch's setting, on any machine and version."""
    stand_in = SimpleNamespace(fp32_precision="ieee")
    monkeypatch.setattr(products, "_settings", lambda: stand_in)
    monkeypatch.setattr(products, "_onednn_pays", lambda: True)
    return stand_in


def real_setting():
    return getattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", None)


@pytest.mark.parametrize("shape", [(1, 512, 768, 1024), (3, 64, 64, 4096), (1, 7, 33, 5), (2, 4096, 16, 4)])
def test_products_stay_float32(shape):
    batch, rows, inner, columns = shape
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(batch, rows, inner, generator=generator), torch.randn(batch, inner, columns, generator=generator)
    true = a.double() @ b.double()
    with fast_products():
        bare = a @ b
        folded = torch.nn.functional.linear(a, b[0].T.contiguous())
    for found, expected in ((bare, true), (folded[:1], true[:1])):
        assert (found.double() - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_pytorchs_setting_is_as_before_also_after_an_error():
    before = real_setting()
    with fast_products():
        pass
    assert real_setting() == before
    with pytest.raises(ZeroDivisionError), fast_products():
        raise ZeroDivisionError
    assert real_setting() == before


def test_the_setting_is_on_inside_and_back_outside(setting):
    with fast_products():
        assert setting.fp32_precision == "bf16"
        with fast_products():
            pass
        assert setting.fp32_precision == "bf16"
    assert setting.fp32_precision == "ieee"
    with pytest.raises(ZeroDivisionError), fast_products():
        raise ZeroDivisionError
    assert setting.fp32_precision == "ieee"


def test_threads_that_overlap_put_it_back_together(setting):
    entered, first_left = threading.Event(), threading.Event()
    seen = []

    def late():
        with fast_products():
            entered.set()
            first_left.wait(10)
            seen.append(setting.fp32_precision)

    thread = threading.Thread(target=late)
    with fast_products():
        thread.start()
        assert entered.wait(10)
    first_left.set()
    thread.join(10)
    assert seen == ["bf16"]
    assert setting.fp32_precision == "ieee"


def test_it_stays_off_where_precision_would_be_lost(monkeypatch):
    stand_in = SimpleNamespace(fp32_precision="ieee")
    monkeypatch.setattr(products, "_settings", lambda: stand_in)
    monkeypatch.setattr(products, "_is_amd_avx512", lambda: True)
    monkeypatch.setattr(products, "_error", lambda shape: 4e-3 if stand_in.fp32_precision == "bf16" else 0.0)
    assert not products._onednn_pays.__wrapped__()
    assert stand_in.fp32_precision == "ieee"
    monkeypatch.setattr(products, "_settings", lambda: None)  # before PyTorch 2.9
    assert not products._onednn_pays.__wrapped__()
