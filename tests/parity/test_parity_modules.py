"""Our modules give what the authors' give, part by part, with random weights in float32."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from segment_anything.utils.transforms import ResizeLongestSide

from napari_sam.inference.mask_upsampler import MaskUpsampler
from napari_sam.inference.preprocess import to_input, to_model_xy
from napari_sam.inference.windows import whole_window
from napari_sam.model.sam import ImageEmbedding

pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def random():
    return torch.Generator().manual_seed(7)


def prompts(random, n=3):
    points = (torch.rand(n, 2, 2, generator=random) * 96, torch.tensor([[1, 0], [0, 1], [1, -1]])[:n])
    boxes = torch.rand(n, 4, generator=random) * 96
    masks = torch.randn(n, 1, 24, 24, generator=random) * 5
    return points, boxes, masks


def test_state_dicts_have_the_same_keys_in_the_same_order(models):
    theirs, ours = models
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_image_encoder_with_padded_windows(models, random, close):
    theirs, ours = models
    x = torch.randn(2, 3, 96, 96, generator=random)
    close(ours.image_encoder(x), theirs.image_encoder(x))


@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=3)))
def test_prompt_encoder_with_every_combination(models, random, close, given):
    theirs, ours = models
    chosen = [value if use else None for value, use in zip(prompts(random), given, strict=True)]
    sparse, dense = ours.prompt_encoder(*chosen)
    want_sparse, want_dense = theirs.prompt_encoder(*chosen)
    assert sparse.shape == want_sparse.shape
    if sparse.numel():
        close(sparse, want_sparse)
    close(dense, want_dense)


def test_positional_encoding_of_the_grid(models, close):
    theirs, ours = models
    close(ours.prompt_encoder.get_dense_pe(), theirs.prompt_encoder.get_dense_pe())


@pytest.mark.parametrize("multimask", [False, True])
def test_mask_decoder(models, random, close, multimask):
    theirs, ours = models
    features = torch.randn(1, 32, 6, 6, generator=random)
    sparse, dense = theirs.prompt_encoder(*prompts(random))
    pe = theirs.prompt_encoder.get_dense_pe()
    got = ours.mask_decoder(features, pe, sparse, dense, multimask)
    want = theirs.mask_decoder(
        image_embeddings=features,
        image_pe=pe,
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )
    close(got[0], want[0])
    close(got[1], want[1])


@pytest.mark.parametrize(("height", "width"), [(96, 96), (60, 96), (96, 41)])
def test_whole_model_with_padding(models, random, close, height, width):
    theirs, ours = models
    pixels = torch.rand(1, 3, height, width, generator=random) * 255
    points, boxes, masks = prompts(random)
    want = theirs(
        [
            {
                "image": pixels[0],
                "original_size": (2 * height, 2 * width),
                "point_coords": points[0],
                "point_labels": points[1],
                "boxes": boxes,
                "mask_inputs": masks,
            }
        ],
        multimask_output=True,
    )[0]
    embedding = ours.encode(pixels)
    close(ours.preprocess(pixels), theirs.preprocess(pixels))
    close(embedding.features, theirs.image_encoder(theirs.preprocess(pixels)))
    logits, iou = ours.decode(embedding, points=points, boxes=boxes, masks=masks, multimask=True)
    close(logits, want["low_res_logits"])
    close(iou, want["iou_predictions"])


def test_prompts_of_several_images_decode_in_one_batch(models, random, close):
    """Where the authors loop over images, one call takes consecutive prompts of each image."""
    _, ours = models
    pixels = torch.rand(2, 3, 96, 96, generator=random) * 255
    both = ours.encode(pixels)
    boxes = torch.rand(4, 4, generator=random) * 96
    logits, _ = ours.decode(both, boxes=boxes, multimask=False)
    for i in range(2):
        one = ImageEmbedding(both.features[i : i + 1])
        alone, _ = ours.decode(one, boxes=boxes[2 * i : 2 * i + 2], multimask=False)
        close(logits[2 * i : 2 * i + 2], alone)


@pytest.mark.parametrize("shape", [(50, 50), (40, 130), (131, 47), (96, 96), (7, 200)])
def test_masks_come_back_to_the_image_as_the_authors_bring_them(models, random, shape):
    theirs, _ = models
    window = whole_window(shape, 96)
    logits = F.avg_pool2d(torch.randn(3, 24, 24, generator=random), 5, 1, 2)
    want = theirs.postprocess_masks(logits[None], (window.input_height, window.input_width), shape)[0] > 0
    assert np.array_equal(MaskUpsampler(window, logits.shape[-1], 96).whole(logits), want.numpy())


@pytest.mark.parametrize("shape", [(50, 50), (40, 130), (131, 47), (96, 96), (2, 200), (1023, 1024), (333, 1001)])
def test_images_and_prompts_are_scaled_as_the_authors_scale_them(shape, close):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    transform = ResizeLongestSide(96)
    window = whole_window(shape, 96)
    assert (window.input_height, window.input_width) == transform.get_preprocess_shape(*shape, 96)
    want = transform.apply_image(image)
    assert np.array_equal(to_input(image, window)[0].permute(1, 2, 0).numpy(), want)
    points = rng.random((5, 2)) * shape
    close(to_model_xy(points, window), transform.apply_coords(points[:, ::-1], shape))
