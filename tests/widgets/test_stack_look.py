"""Brightness and object size of stacks in the docks: settled once for all planes, whichever is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference.brightness import stack_normalization
from napari_sam.inference.normalization import resolve_normalization
from napari_sam.inference.predictor import Predictor
from napari_sam.model.sam import Sam
from napari_sam.pipeline.whole_image import WholeImage
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock
from napari_sam.widgets.stack_look import StackLook, settings_of, stretch_of

RNG = np.random.default_rng(5)
BRIGHT = RNG.integers(0, 4000, (3, 40, 44)).astype(np.uint16)
STACK = np.stack([BRIGHT[0], BRIGHT[1] // 800, BRIGHT[2]])  # the middle one is all but empty


class Torn:
    """A plane of a file that is damaged."""

    shape, dtype = (40, 44), np.dtype(np.uint16)

    def __getitem__(self, _key: Any) -> Any:
        raise OSError("the disk is gone")


def test_brightness_is_that_of_all_planes_and_read_once() -> None:
    seen: list[tuple[int, int]] = []
    look = StackLook(list(STACK))
    settled = look.brightness(lambda *step: seen.append(step))
    assert settled == stack_normalization(list(STACK), "auto")
    assert {number for number, _ in seen} == {0, 1, 2}
    assert {count for _, count in seen} == {3}
    count = len(seen)
    assert look.brightness(lambda *step: seen.append(step)) is settled
    assert len(seen) == count


def test_a_plane_that_cannot_be_read_decides_nothing() -> None:
    settled = StackLook([STACK[0], Torn(), STACK[2]]).brightness()
    assert 3000 < settled.high[0] <= 4000
    with pytest.raises(InputError, match=r"Cannot read plane \d of the image \(the disk is gone\)"):
        StackLook([Torn(), Torn()]).brightness()


def test_reading_is_cancelled_by_the_progress() -> None:
    def cancel(_done: int, _total: int) -> None:
        raise OperationCancelled

    with pytest.raises(OperationCancelled):
        StackLook(list(STACK)).brightness(cancel)


def test_the_size_of_objects_is_looked_for_once_a_model(tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def settle(_load: Any, settings: AutoSettings, planes: Any, normalization: Any) -> WholeImage:
        asked.append(len(planes))
        return WholeImage(normalization, settings.changed(object_size=17.0))

    monkeypatch.setattr("napari_sam.pipeline.whole_image.settle_image", settle)
    look, settings = StackLook(list(STACK)), AutoSettings(points="objects")
    assert settings_of(look, tiny_cell_model, settings).object_size == 17
    assert settings_of(look, tiny_cell_model, settings).object_size == 17
    assert asked == [3]
    assert settings_of(look, tiny_cell_model, settings.changed(object_size=9.0)).object_size == 9
    assert settings_of("auto", tiny_cell_model, settings) is settings
    assert stretch_of((1, 2)) == (1, 2)


@pytest.mark.parametrize("lazy", [False, True])
def test_prompts_see_all_planes_alike(
    open_dock: Callable[..., PromptDock], tiny_cell_model: Sam, *, lazy: bool
) -> None:
    image = da.from_array(STACK, chunks=(1, 40, 44)) if lazy else STACK
    dock = open_dock(image, contrast_limits=(0, 4000))
    predictor = Predictor(tiny_cell_model)
    for plane in (1, 0):
        dock.viewer.dims.set_point(0, plane)
        dock.add_point((20, 12))
        dock.wait_idle()
        predictor.set_image(STACK[plane], normalization=stack_normalization(list(STACK), "auto"))
        np.testing.assert_array_equal(dock.candidates[0].mask, predictor.predict([(20, 12)]).masks[0])


@pytest.fixture
def stretches(planted: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The normalisation of each search of SAM Auto."""
    used: list[Any] = []
    stream = planted.stream

    def note(self: Any, image: Any, *, normalization: Any, **how: Any) -> Any:
        used.append(normalization)
        return stream(self, image, normalization=normalization, **how)

    monkeypatch.setattr(planted, "stream", note)
    return used


def test_an_empty_plane_is_not_stretched_on_its_own_by_sam_auto(
    open_auto: Callable[..., AutoDock], stretches: list[Any], squares: Any
) -> None:
    faint = (squares > 0).astype(squares.dtype)
    stack = np.stack([squares, faint, squares])
    dock = open_auto(stack)
    dock.viewer.dims.set_point(0, 1)
    dock.run()
    dock.wait_idle()
    dock.run("stack")
    dock.wait_idle()
    assert len(stretches) == 4
    assert set(stretches) == {stack_normalization(list(stack), "auto")}
    assert stretches[0].high[0] > 50 > resolve_normalization(faint).high[0]


def test_channels_that_napari_knows_of_keep_their_own_brightness(
    open_auto: Callable[..., AutoDock], stretches: list[Any], squares: Any
) -> None:
    stack = np.stack([[squares, squares // 40], [squares // 2, squares // 40]])
    dock = open_auto(stack, axis_labels=("z", "channel", "y", "x"))
    dock.run("stack")
    dock.wait_idle()
    expected = [stack_normalization(list(stack[:, channel]), "auto") for channel in (0, 1)]
    assert expected[0] != expected[1]
    assert stretches == expected * 2
