"""Every architecture: size, layout, seeds, and gradients that reach every part."""

from __future__ import annotations

import pytest
import torch

from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec, build_model


@pytest.mark.parametrize(("name", "millions"), [("vit_b", 91), ("vit_l", 308), ("vit_h", 636)])
def test_image_encoders_have_the_papers_size(name, millions):
    with torch.device("meta"):
        encoder = build_from_meta(name)
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.03)


def build_from_meta(name: str) -> torch.nn.Module:
    from napari_sam.model.build import _build_encoder

    return _build_encoder(SPECS[name])


def test_same_seed_same_weights_and_the_callers_chance_is_left_alone(tiny_spec_cell):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    a, b, c = (build_from_spec(tiny_spec_cell, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert not a.training


def test_unknown_architecture_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"'vit_b'.*vit_h"):
        build_model("vitb")


def test_bundled_architecture_fits_its_limits():
    spec = SPECS["cells"]
    model = build_model("cells")
    size = sum(value.numel() * 2 for value in model.state_dict().values())
    assert size < 25e6
    assert spec.windowed
    # a 256 x 256 image keeps masks at half its resolution
    assert model.mask_size >= 128


@pytest.mark.parametrize("fixture", ["tiny_spec_vit", "tiny_spec_cell"])
def test_gradients_reach_every_part(fixture, request):
    model = build_from_spec(request.getfixturevalue(fixture)).train()
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    size = model.mask_size
    masks = torch.rand(4, 1, size, size, generator=torch.Generator().manual_seed(1))
    points = (torch.full((4, 1, 2), 20.0), torch.tensor([[1], [0], [1], [-1]]))
    boxes = torch.tensor([[4.0, 4.0, 30.0, 40.0]]).repeat(4, 1)
    total = torch.zeros(())
    for arguments in ({"points": points}, {"points": points, "boxes": boxes, "masks": masks}):
        for multimask in (True, False):
            logits, iou = model.decode(model.encode(pixels), multimask=multimask, **arguments)
            assert logits.shape == (4, 3 if multimask else 1, size, size)
            total = total + logits.square().mean() + iou.square().mean()
    if model.object_head is not None:
        maps = model.find_objects(model.encode(pixels))
        assert maps.foreground.shape == maps.middle.shape == maps.diameter.shape == (2, size, size)
        total = total + sum(m.square().mean() for m in (maps.foreground, maps.middle, maps.diameter))
    total.backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []


def test_prompts_of_several_images_go_to_their_own_image(tiny_cell_model):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, 64, 64, generator=generator) * 255
    points = (torch.rand(4, 1, 2, generator=generator) * 64, torch.ones(4, 1, dtype=torch.long))
    with torch.inference_mode():
        together, _ = tiny_cell_model.decode(tiny_cell_model.encode(pixels), points=points, multimask=True)
        for i in range(2):
            part = (points[0][2 * i : 2 * i + 2], points[1][2 * i : 2 * i + 2])
            alone, _ = tiny_cell_model.decode(tiny_cell_model.encode(pixels[i : i + 1]), points=part, multimask=True)
            torch.testing.assert_close(together[2 * i : 2 * i + 2], alone, rtol=1e-4, atol=1e-5)


def test_medsam_pixels_are_not_normalised_again(tiny_spec_vit):
    import dataclasses

    model = build_from_spec(dataclasses.replace(tiny_spec_vit, preprocess="medsam"))
    pixels = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model.preprocess(pixels), pixels)
