import logging
import sys

import pytest
import torch
from torch import nn

from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.model.load import load_model
from napari_sam.model.precision import best_precision


def test_a_compiled_encoder_gives_the_same(tiny_spec_vit):
    model = build_from_spec(tiny_spec_vit, seed=1)
    pixels = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        plain = model.encode(pixels).features
        model.image_encoder.compile(backend="eager")
        torch.testing.assert_close(model.encode(pixels).features, plain, rtol=1e-4, atol=1e-5)


def test_compiling_is_asked_for_and_announced(monkeypatch, caplog):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    with caplog.at_level(logging.WARNING):
        load_model("cells", device="cpu")
        assert not compiled
        model = load_model("cells", device="cpu", compiled=True)
    assert compiled == [model.image_encoder]
    assert "first image takes" in caplog.text


def test_the_fastest_precision_depends_on_device_and_model(monkeypatch, tiny_spec_vit, tiny_spec_cell):
    cpu = torch.device("cpu")
    monkeypatch.setattr("napari_sam.model.precision._cpu_has_bfloat16", lambda: True)
    assert best_precision(cpu, tiny_spec_vit) == "bfloat16"
    assert best_precision(cpu, tiny_spec_cell) == "float32"
    monkeypatch.setattr("napari_sam.model.precision._cpu_has_bfloat16", lambda: False)
    assert best_precision(cpu, tiny_spec_vit) == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert best_precision(torch.device("cuda"), tiny_spec_cell) == "bfloat16"
    assert best_precision(torch.device("mps"), tiny_spec_vit) == "float32"


def test_precisions_are_taken_at_their_word():
    assert load_model("cells", device="cpu", precision="float16").dtype == torch.float16
    with pytest.raises(InputError, match="float32, bfloat16, float16"):
        load_model("cells", precision="double")


def test_mps_may_fall_back_to_the_cpu_where_an_operator_lacks():
    import os
    import subprocess

    code = (
        "import sys; sys.platform = 'darwin'; import napari_sam, os; print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTORCH_ENABLE_MPS_FALLBACK"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("chosen", "policy"), [({}, "PASSIVE"), ({"GOMP_SPINCOUNT": "5"}, ""), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")]
)
def test_threads_that_wait_do_not_take_the_cores_of_other_programs(chosen, policy):
    import os
    import subprocess

    code = "import napari_sam, os; print(os.environ.get('OMP_WAIT_POLICY', ''))"
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    environment = {key: value for key, value in os.environ.items() if key not in names} | chosen
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == policy
