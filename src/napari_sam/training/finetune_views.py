"""Views of the user's images as the predictor would look at them: the right scale, turned, flipped, relit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_sam.data.object_targets import object_targets
from napari_sam.data.sample import PAD_COLOUR, Sample
from napari_sam.data.sampler import Batch
from napari_sam.errors import InputError
from napari_sam.inference.windows import BOX_MARGIN, CLOSE_SCALE, CLOSE_SIZE, level_scales
from napari_sam.model.build import SamSpec
from napari_sam.model.sam import Sam

__all__ = ["MIN_AREA", "batch_of_views", "drawn_views", "fixed_views", "has_views", "random_view", "viewing_scales"]

MIN_AREA = 16  # pixels of a view: smaller pieces of objects are not prompted
ZOOM = 0.22  # natural logarithm of the largest random change of scale
TRIES = 20


def viewing_scales(sample: Sample, spec: SamSpec) -> list[float]:
    """Return the scales (model pixels an image pixel) at which the predictor looks at a sample's objects.

    A model that sees whole images has one. A windowed model takes the finest level at which the objects fit, and looks
    again more closely at small ones.
    """
    shape = sample.labels.shape
    if not spec.windowed:
        return [spec.img_size / max(shape)]
    fitting = [s for s in level_scales(shape, spec.img_size) if s * sample.diameter * BOX_MARGIN <= spec.img_size]
    scale = fitting[0] if fitting else spec.img_size / max(shape)
    if scale < CLOSE_SCALE and sample.diameter <= CLOSE_SIZE * spec.img_size:
        return [scale, CLOSE_SCALE]
    return [scale]


def has_views(sample: Sample, spec: SamSpec) -> bool:
    """Tell whether a sample holds an object that is more than a speck at the model's scale."""
    return bool(_large_enough(sample, max(viewing_scales(sample, spec))).any())


def random_view(sample: Sample, spec: SamSpec, rng: np.random.Generator) -> Sample:
    """Cut a view that holds an object, at about a scale of inference.

    Returns
    -------
    Sample
        Square of side `img_size`; what lies outside of the image is `PAD_COLOUR`, below and right as in inference.

    Raises
    ------
    InputError
        If no object of at least `MIN_AREA` pixels is met in many tries.
    """
    scales = viewing_scales(sample, spec)
    pixels = np.flatnonzero(_large_enough(sample, max(scales))[sample.labels])
    for _ in range(TRIES if len(pixels) else 0):
        scale = scales[int(rng.integers(len(scales)))] * float(np.exp(rng.uniform(-ZOOM, ZOOM)))
        around = divmod(int(rng.choice(pixels)), sample.labels.shape[1])
        view = _cut(sample, spec.img_size, scale, around, rng)
        if len(_objects(view.labels)):
            return view
    raise InputError(
        f"An image of {sample.labels.shape} pixels shows no labelled object of at least {MIN_AREA} pixels at the "
        "model's scale: leave it out, or check its labels."
    )


def _cut(sample: Sample, size: int, scale: float, around: tuple[int, int], rng: np.random.Generator) -> Sample:
    """Cut a view that holds the pixel `around`, turned and flipped, then padded."""
    shape = sample.labels.shape
    sides = [min(length, max(1, round(size / scale))) for length in shape]
    origin = [
        int(rng.integers(max(0, at - side + 1), min(at, length - side) + 1))
        for at, side, length in zip(around, sides, shape, strict=True)
    ]
    window = np.s_[origin[0] : origin[0] + sides[0], origin[1] : origin[1] + sides[1]]
    rows, cols = (min(size, max(1, round(side * scale))) for side in sides)
    picture = np.asarray(Image.fromarray(sample.image[window]).resize((cols, rows), Image.Resampling.BILINEAR))
    at_row = np.minimum(((np.arange(rows) + 0.5) * sides[0] / rows).astype(int), sides[0] - 1)
    at_col = np.minimum(((np.arange(cols) + 0.5) * sides[1] / cols).astype(int), sides[1] - 1)
    found = sample.labels[window][at_row[:, None], at_col]
    turns, flipped = int(rng.integers(4)), bool(rng.integers(2))
    picture, found = _turn(_relight(picture, rng), turns, flipped), _turn(found, turns, flipped)
    image = np.empty((size, size, 3), np.uint8)
    image[:] = PAD_COLOUR
    labels = np.zeros((size, size), np.int32)
    image[: len(picture), : picture.shape[1]] = picture
    labels[: len(found), : found.shape[1]] = found
    return Sample(image=image, labels=labels)


def _turn(array: npt.NDArray[np.generic], turns: int, flipped: bool) -> npt.NDArray[np.generic]:
    turned = np.rot90(array, turns)
    return turned[:, ::-1] if flipped else turned


def _relight(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Change gamma, contrast and brightness a little: these images are of the kind that is to be learnt."""
    x = (image.astype(np.float32) / 255) ** np.float32(np.exp(rng.normal(0, 0.12)))
    x = x * np.float32(rng.uniform(0.85, 1.15)) + np.float32(rng.uniform(-0.04, 0.04))
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def _large_enough(sample: Sample, scale: float) -> npt.NDArray[np.bool_]:
    """Return, by label, whether an object has `MIN_AREA` pixels at a scale."""
    areas = np.bincount(sample.labels.ravel(), minlength=1)
    areas[0] = 0
    return areas * scale**2 >= MIN_AREA


def _objects(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    areas = np.bincount(labels.ravel(), minlength=1)
    areas[0] = 0
    return np.flatnonzero(areas >= MIN_AREA)


def fixed_views(samples: Sequence[Sample], spec: SamSpec, count: int, seed: int) -> list[Sample]:
    """Make `count` views of each sample, always the same ones for a seed; what shows no object is passed over.

    Raises
    ------
    InputError
        If no sample shows any.
    """
    views: list[Sample] = []
    problem: InputError | None = None
    for number, sample in enumerate(samples):
        for view in range(count):
            try:
                views.append(random_view(sample, spec, np.random.default_rng([seed, number, view])))
            except InputError as error:
                problem = error
    if problem is not None and not views:
        raise problem
    return views


def drawn_views(samples: Sequence[Sample], spec: SamSpec, count: int, rng: np.random.Generator) -> list[Sample]:
    """Draw views of `count` samples; a sample whose objects are not met is passed over for the next one drawn.

    Raises
    ------
    InputError
        If no sample shows an object.
    """
    views: list[Sample] = []
    waiting = rng.choice(len(samples), count, replace=len(samples) < count).tolist()
    spare: list[int] | None = None
    while waiting:
        try:
            views.append(random_view(samples[waiting.pop(0)], spec, rng))
        except InputError:
            spare = rng.permutation(len(samples)).tolist() if spare is None else spare
            if not spare and not views:
                raise
            waiting += [spare.pop()] if spare else []
    return [views[number % len(views)] for number in range(count)]


def batch_of_views(views: Sequence[Sample], model: Sam, prompts: int, rng: np.random.Generator) -> Batch:
    """Choose objects of views to be prompted; a view with fewer objects than `prompts` repeats some."""
    masks, objects = [], []
    for view in views:
        ids = _objects(view.labels)
        chosen = rng.permutation(ids)[:prompts]
        chosen = np.concatenate([chosen, rng.choice(ids, prompts - len(chosen))])
        masks.append(view.labels[None] == chosen[:, None, None])
        if model.object_head is not None:
            objects.append(object_targets(view.labels, model.mask_size))
    return Batch(
        images=np.stack([view.image for view in views]),
        masks=np.stack(masks),
        objects=np.stack(objects) if objects else np.zeros((len(views), 3, 0, 0), np.float32),
        complete=np.array([view.complete for view in views]),
    )
