"""The ONNX files compute, in onnxruntime, what the model computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.preprocess import to_input
from napari_sam.inference.windows import whole_window
from napari_sam.model import export_onnx
from napari_sam.model.build import build_from_spec
from napari_sam.model.export import export_model
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.ops.regions import keep_pieces

Arrays = dict[str, npt.NDArray[np.float32]]


@pytest.fixture(scope="module", params=["vit", "cell", "drawing"])
def exported(request, tmp_path_factory) -> tuple[Sam, Path, Path]:
    model = request.getfixturevalue(f"tiny_{request.param}_model")
    encoder, decoder = export_model(model, tmp_path_factory.mktemp("onnx") / "model.onnx")
    return model, encoder, decoder


def run(file: Path, inputs: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def close(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1.0, float(np.abs(expected).max()))


def prompts(model: Sam, size: tuple[int, int], **changes: npt.ArrayLike) -> Arrays:
    given = {
        "point_coords": [[[20.0, 30.0], [0.0, 0.0]]],
        "point_labels": [[1.0, -1.0]],
        "mask_input": np.zeros((1, 1, model.mask_size, model.mask_size)),
        "has_mask_input": [0.0],
        "orig_im_size": size,
        **changes,
    }
    return {name: np.asarray(value, np.float32) for name, value in given.items()}


def test_encoder_and_decoder_equal_the_predictor(exported):
    """As a user of the files would: scale, pad, encode, click; masks at the size of an image that is not square."""
    model, encoder, decoder = exported
    image = np.random.default_rng(0).integers(0, 256, (37, 60, 3), np.uint8)
    predictor = Predictor(model)
    predictor.set_image(image, normalization="none")
    expected = predictor.predict([(10, 25)], window=whole_window((37, 60), model.img_size), multimask=True)

    window = whole_window((37, 60), model.img_size)
    pixels = to_input(image, window)
    padded = torch.tensor(model.spec.pixel_mean).view(1, 3, 1, 1).repeat(1, 1, model.img_size, model.img_size)
    padded[..., : window.input_height, : window.input_width] = pixels
    embedded = run(encoder, {"image": padded.numpy()})
    with torch.no_grad():
        ours = model.encode(pixels)
    close(embedded["image_embeddings"], ours.features.numpy())
    for number, skip in enumerate(ours.skips):
        close(embedded[f"skip_features_{number}"], skip.numpy())

    scale_row, scale_col = window.scale
    coords = [[[25 * scale_col, 10 * scale_row], [0, 0]]]
    found = run(decoder, embedded | prompts(model, (37, 60), point_coords=coords))
    order = np.argsort(-found["iou_predictions"][0, 1:], kind="stable")
    close(found["iou_predictions"][0, 1:][order], expected.scores)
    close(found["low_res_masks"][0, 1:][order], expected.logits)
    masks = found["masks"][0, 1:][order] > 0
    assert masks.shape == (3, 37, 60)
    if model.spec.windowed:  # the predictor's own last step
        masks = np.stack([keep_pieces(mask, [(10, 25)]) for mask in masks])
    assert (masks != expected.masks).mean() < 1e-3


def test_decoder_takes_boxes_masks_and_any_number_of_points(exported):
    model, _, decoder = exported
    generator = torch.Generator().manual_seed(3)
    grid = model.spec.grid
    features = torch.randn(1, model.spec.embed_dim, grid, grid, generator=generator)
    embedded = {"image_embeddings": features.numpy()}
    skips = ()
    if model.spec.encoder == "cell":
        widths = model.spec.cell_widths[1], model.spec.cell_widths[0]
        skips = tuple(torch.randn(1, w, grid * 2**i, grid * 2**i, generator=generator) for i, w in enumerate(widths, 1))
        embedded |= {f"skip_features_{i}": skip.numpy() for i, skip in enumerate(skips)}
    mask = torch.randn(1, 1, model.mask_size, model.mask_size, generator=generator)
    points = torch.tensor([[[5.0, 6.0], [40.0, 9.0], [30.0, 50.0]]])
    box = torch.tensor([[4.0, 8.0, 50.0, 44.0]])
    with torch.no_grad():
        logits, iou = model.decode(
            ImageEmbedding(features, skips), points=(points, torch.tensor([[1, 0, 1]])), boxes=box, masks=mask,
            multimask=True,
        )  # fmt: skip
    given = prompts(
        model,
        (64, 64),
        point_coords=torch.cat([points, box.view(1, 2, 2)], 1),
        point_labels=[[1, 0, 1, 2, 3]],
        mask_input=mask,
        has_mask_input=[1],
    )
    found = run(decoder, embedded | given)
    close(found["low_res_masks"][:, 1:], logits.numpy())
    close(found["iou_predictions"][:, 1:], iou.numpy())


@pytest.mark.parametrize("size", [(2, 200), (131, 64), (64, 64), (500, 333)])
def test_masks_are_enlarged_as_the_authors_do_it(exported, size):
    model, _, decoder = exported
    grid, side = model.spec.grid, model.img_size
    embedded = {"image_embeddings": np.random.default_rng(1).normal(size=(1, model.spec.embed_dim, grid, grid))}
    if model.spec.encoder == "cell":
        widths = model.spec.cell_widths[1], model.spec.cell_widths[0]
        for i, width in enumerate(widths):
            embedded[f"skip_features_{i}"] = np.ones((1, width, grid * 2 ** (i + 1), grid * 2 ** (i + 1)))
    found = run(decoder, {k: v.astype(np.float32) for k, v in embedded.items()} | prompts(model, size))
    window = whole_window(size, side)
    masks = F.interpolate(torch.from_numpy(found["low_res_masks"]), (side, side), mode="bilinear")
    masks = F.interpolate(masks[..., : window.input_height, : window.input_width], size, mode="bilinear")
    close(found["masks"], masks.numpy())


def test_names_are_those_of_the_authors_export(exported):
    model, encoder, decoder = exported
    skips = [] if model.spec.encoder == "vit" else ["skip_features_0", "skip_features_1"]
    session = onnxruntime.InferenceSession(decoder, providers=["CPUExecutionProvider"])
    names = ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"]
    assert [given.name for given in session.get_inputs()] == names + skips
    assert [out.name for out in session.get_outputs()] == ["masks", "iou_predictions", "low_res_masks"]
    session = onnxruntime.InferenceSession(encoder, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["image"]
    assert [out.name for out in session.get_outputs()] == ["image_embeddings", *skips]
    assert sorted(file.name for file in encoder.parent.iterdir()) == ["model.decoder.onnx", "model.encoder.onnx"]


def test_without_the_extra_the_error_names_it(tiny_spec_vit, tmp_path, monkeypatch):
    monkeypatch.setattr(export_onnx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install napari-sam-stack\[export\]"):
        export_model(build_from_spec(tiny_spec_vit), tmp_path / "model.onnx")
