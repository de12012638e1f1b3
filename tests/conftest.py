"""Tiny models with random weights that every test may share; treat them as read-only."""

from __future__ import annotations

import dataclasses
import gc
import os
import uuid
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file

from napari_sam.model.build import SamSpec, build_from_spec
from napari_sam.model.sam import Sam

settings.register_profile(
    "steady", derandomize=True, deadline=None
)  # the same examples every time, on a busy machine too; --hypothesis-profile=default varies
settings.load_profile("steady")


def pytest_xdist_auto_num_workers() -> int:
    """Say how many processes share the tests: one for each core, as far as memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // (3 << 30)))


def pytest_collection_finish() -> None:
    """Keep what is imported out of the many garbage collections: a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Give it back, so that bindings find nothing leaked."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def own_models(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the models of whoever runs the tests out of them, and theirs out of that person's list."""
    folder = tmp_path_factory.getbasetemp() / "own" / uuid.uuid4().hex
    monkeypatch.setenv("NAPARI_SAM_DATA", str(folder))
    return folder


TINY_VIT = SamSpec(
    architecture="vit_tiny",
    img_size=64,
    embed_dim=32,
    vit_dim=32,
    vit_depth=2,
    vit_heads=2,
    vit_global=(1,),
    vit_window=3,
    decoder_mlp=64,
    iou_hidden=32,
)
TINY_TRAINED = SamSpec(
    architecture="tiny_sam",
    img_size=128,
    embed_dim=32,
    vit_dim=48,
    vit_depth=2,
    vit_heads=3,
    vit_global=(1,),
    vit_window=3,
    decoder_mlp=64,
    iou_hidden=32,
)
TINY_CELL = SamSpec(
    architecture="cell_tiny",
    encoder="cell",
    img_size=64,
    stride=8,
    embed_dim=32,
    windowed=True,
    cell_widths=(16, 16, 32, 32),
    cell_depths=(1, 1, 1, 1),
    cell_blocks=1,
    cell_heads=2,
    decoder_heads=4,
    decoder_mlp=64,
    iou_hidden=32,
)


TINY_DRAWING = dataclasses.replace(TINY_CELL, architecture="drawing_tiny", drawing_width=16, cell_pretrained=True)


@pytest.fixture
def tiny_spec_drawing() -> SamSpec:
    """Sizes of a windowed model whose masks are drawn by convolutions."""
    return TINY_DRAWING


@pytest.fixture
def tiny_spec_vit() -> SamSpec:
    """Sizes of a ViT model that runs in milliseconds."""
    return TINY_VIT


@pytest.fixture
def tiny_spec_cell() -> SamSpec:
    """Sizes of a windowed model that runs in milliseconds."""
    return TINY_CELL


@pytest.fixture(scope="session")
def tiny_vit_model() -> Sam:
    """A whole-image model of 64 x 64 input."""
    return build_from_spec(TINY_VIT)


@pytest.fixture(scope="session")
def tiny_cell_model() -> Sam:
    """A windowed model of 64 x 64 windows with skip features."""
    return build_from_spec(TINY_CELL)


@pytest.fixture(scope="session")
def tiny_drawing_model() -> Sam:
    """A windowed model whose drawing convolutions and joined features do something: none of their weights is zero."""
    model = build_from_spec(TINY_DRAWING)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.any() and any(part in name for part in ("drawing", "quality", "joins")):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="session")
def tiny_trained_model() -> Sam:
    """A whole-image model of 128 x 128 input that has seen 1500 steps of synthetic cells: its masks are blobs."""
    model = build_from_spec(TINY_TRAINED)
    weights = load_file(Path(__file__).parent / "data" / "tiny_sam.safetensors")
    model.load_state_dict({key: value.float() for key, value in weights.items()})
    return model
