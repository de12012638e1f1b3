"""Several pieces of work at once: all results in order, one core each, and the process's number of threads stays."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_sam.errors import OperationCancelled
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.picture import open_picture
from napari_sam.inference.side_by_side import run_side_by_side, threads_for
from napari_sam.inference.survey import survey_windows


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_work_is_done_at_the_same_time_each_by_one_core():
    meeting = threading.Barrier(2)

    def work(number):
        meeting.wait(timeout=60)  # both must be there
        return number, torch.get_num_threads(), torch.is_inference_mode_enabled()

    steps = []
    found = run_side_by_side(work, [3, 4], lambda done, total: steps.append((done, total)))
    assert found == [(3, 1, True), (4, 1, True)]
    assert steps[-1] == (2, 2)
    assert torch.get_num_threads() == 2
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


@pytest.mark.usefixtures("two_threads")
def test_what_the_work_or_the_progress_raises_comes_out():
    with pytest.raises(ZeroDivisionError):
        run_side_by_side(lambda number: 1 // number, [1, 0])
    begun = []
    gate = threading.Event()

    def work(number):
        begun.append(number)
        gate.wait(timeout=60)

    def stop(*_):
        raise OperationCancelled("stopped")

    with pytest.raises(OperationCancelled):
        run_side_by_side(work, range(50), stop)
    gate.set()
    assert run_side_by_side(abs, [-1]) == [1]
    assert len(begun) < 50


@pytest.mark.usefixtures("two_threads")
def test_windows_come_out_the_same_as_one_after_the_other(tiny_cell_model):
    image = np.random.default_rng(0).integers(0, 255, (100, 90), np.uint8)
    windows = survey_windows(image.shape, tiny_cell_model.img_size, 0)
    assert threads_for(tiny_cell_model.device) == 2
    picture = open_picture(image, "none", None)
    steps = []
    together = picture.look_at_all(
        tiny_cell_model, windows, EmbeddingCache(), lambda done, total: steps.append((done, total))
    )
    alone = [picture.look(tiny_cell_model, window, EmbeddingCache()) for window in windows]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.embedding.features, other.embedding.features, rtol=1e-4, atol=1e-5)
    assert steps[-1] == (len(windows), len(windows))
