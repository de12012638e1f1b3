"""Starting from other weights: what fits is taken, what is new adds nothing at first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_sam.errors import CheckpointError, InputError
from napari_sam.model.build import build_from_spec
from napari_sam.training.initialization import start_from


def test_a_whole_file_is_taken_as_it_is(tiny_spec_cell, tmp_path):
    source, model = (build_from_spec(tiny_spec_cell, seed=seed) for seed in (1, 2))
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    assert start_from(model, str(tmp_path / "w.safetensors")) == []
    for a, b in zip(source.state_dict().values(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_modules_that_the_source_lacks_add_nothing(tiny_spec_cell, tmp_path):
    source, model = (build_from_spec(tiny_spec_cell, seed=seed) for seed in (1, 2))
    old = {k: v for k, v in source.state_dict().items() if "finer" not in k and "object_head" not in k}
    save_file(old, tmp_path / "w.safetensors")
    missing = start_from(model, str(tmp_path / "w.safetensors"))
    assert missing
    assert all("finer" in key or "object_head" in key for key in missing)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 3, 64, 64))).float()
    with torch.no_grad():
        x = source.image_encoder.stem(source.preprocess(pixels))
        stride2 = source.image_encoder.stages[0](x)
        torch.testing.assert_close(model.encode(pixels).skips[1], stride2)


def test_weights_of_something_else_are_refused(tiny_spec_cell, tmp_path):
    save_file({"head.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="Nothing in"):
        start_from(build_from_spec(tiny_spec_cell), str(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="nosuchmodel"):
        start_from(build_from_spec(tiny_spec_cell), "nosuchmodel")
