"""A journal gives the same labels to the bit, or says why not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.io.journal import digest_array, pack_array
from napari_sam.model.build import build_from_spec
from napari_sam.pipeline.label_editor import LabelEditor
from napari_sam.pipeline.replay import Replay, choose_image, journal_images, journal_planes

IMAGE = np.random.default_rng(0).integers(0, 255, (90, 110)).astype(np.uint8)


@pytest.fixture
def session(tiny_cell_model):
    """A session with feedback, a choice, an undo, a redo, and the labels that it left."""
    predictor = Predictor(tiny_cell_model)
    predictor.set_image(IMAGE)
    base = np.zeros(IMAGE.shape, np.int32)
    base[:5, :5] = 3
    labels = base.copy()
    editor = LabelEditor(labels)
    recorded = predictor.normalization
    events = [
        {"event": "session", "version": 1},
        {
            "event": "image", "id": 1, "layer": "x", "source": None, "plane": [], "shape": list(IMAGE.shape),
            "normalization": {"low": list(recorded.low), "high": list(recorded.high)}, "channels": None,
            "digest": digest_array(IMAGE), "model": "tiny", "fingerprint": tiny_cell_model.fingerprint,
        },
        {"event": "base", "image": 1, "labels": pack_array(base)},
    ]  # fmt: skip
    first = predictor.predict(points=[(40, 50)])
    events.append(_predict(1, [[40, 50]], [1], first))
    second = predictor.predict(
        points=[(40, 50), (60, 20)], point_labels=[1, 0], mask=first.logits[2], mask_window=first.window
    )
    events.append(_predict(2, [[40, 50], [60, 20]], [1, 0], second, feedback={"predict": 1, "candidate": 2}))
    box = predictor.predict(box=(10, 10, 40, 70))
    events.append(_predict(3, [], [], box, box=[10, 10, 40, 70]))
    for number, prediction, candidate in ((2, second, 0), (3, box, 0)):
        patch = prediction.patches[candidate]
        edit = editor.commit(patch, prediction.window.slices, overwrite=number == 3)
        events.append(
            {"event": "commit", "predict": number, "candidate": candidate, "label": edit.label,
             "overwrite": number == 3, "digest": digest_array(patch), "image": 1}
        )  # fmt: skip
    for kind in ("undo", "undo", "redo"):
        getattr(editor, kind)()
        events.append({"event": kind, "image": 1})
    return events, labels


def _predict(number, points, labels, prediction, box=None, feedback=None, image=1):
    w = prediction.window
    window = [w.row, w.col, w.height, w.width, w.input_height, w.input_width]
    return {
        "event": "predict", "id": number, "image": image, "points": points, "labels": labels, "box": box, "mask": None,
        "feedback": feedback, "multimask": None, "window": window,
    }  # fmt: skip


def test_the_same_labels_to_the_bit(session, tiny_cell_model):
    events, labels = session
    again = Replay(tiny_cell_model, events, journal_images(events)[0]).run(IMAGE)
    np.testing.assert_array_equal(again, labels)
    assert again.any()


def test_other_images_and_weights_are_refused(session, tiny_cell_model, tiny_spec_cell):
    events, _ = session
    image_event = journal_images(events)[0]
    with pytest.raises(InputError, match="shape"):
        Replay(tiny_cell_model, events, image_event).run(IMAGE[:50])
    with pytest.raises(InputError, match="pixels differ"):
        Replay(tiny_cell_model, events, image_event).run(IMAGE + 1)
    with pytest.raises(InputError, match="other weights"):
        Replay(build_from_spec(tiny_spec_cell, seed=9), events, image_event)


def test_a_mask_that_comes_out_differently_is_not_written(session, tiny_cell_model):
    events, _ = session
    commit = next(event for event in events if event["event"] == "commit")
    commit["digest"] = "0" * 32
    with pytest.raises(InputError, match="came out differently"):
        Replay(tiny_cell_model, events, journal_images(events)[0]).run(IMAGE)


def test_a_session_that_went_on_with_another_model_ends_with_the_labels_of_both(
    session, tiny_cell_model, tiny_spec_cell
):
    events, labels = session
    other = build_from_spec(tiny_spec_cell, seed=9)
    predictor = Predictor(other)
    predictor.set_image(IMAGE)
    result = predictor.predict(points=[(70, 90)])
    both = labels.copy()
    edit = LabelEditor(both).commit(result.patches[0], result.window.slices, overwrite=True)
    first = journal_images(events)[0]
    events += [
        {**first, "id": 2, "fingerprint": other.fingerprint},
        _predict(9, [[70, 90]], [1], result, image=2),
        {"event": "base", "image": 2, "labels": pack_array(labels)},
        {"event": "commit", "predict": 9, "candidate": 0, "label": edit.label, "overwrite": True},
        {**first, "id": 3},  # looked at again in the end, and nothing written
    ]
    assert journal_planes(events) == [()]
    chosen = choose_image(events, (), IMAGE)
    assert chosen["id"] == 2
    np.testing.assert_array_equal(Replay(other, events, chosen).run(IMAGE), both)
    events.append({"event": "undo", "image": 1})  # and with the first model again
    assert choose_image(events, (), IMAGE)["id"] == 1


def test_the_image_is_told_by_its_pixels(session):
    events, _ = session
    first = journal_images(events)[0]
    events += [
        {**first, "id": 2, "digest": digest_array(IMAGE + 1)},
        {"event": "base", "image": 2, "labels": pack_array(np.zeros(IMAGE.shape, np.int32))},
        {**first, "id": 3, "plane": [4]},
    ]
    assert choose_image(events, (), IMAGE)["id"] == 1
    assert choose_image(events, (), IMAGE + 1)["id"] == 2
    assert choose_image(events, (), IMAGE + 2)["id"] == 2  # which then says that the pixels differ
    assert journal_planes(events) == [()]  # plane 4 was only looked at
    assert journal_planes([event for event in events if event["event"] == "image"]) == [(), (4,)]
