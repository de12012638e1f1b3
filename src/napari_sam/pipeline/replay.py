"""The labels of a session, made again from its journal, to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.predictor import Predictor
from napari_sam.io.journal import digest_array, unpack_array
from napari_sam.model.sam import Sam
from napari_sam.pipeline.label_editor import LabelEditor
from napari_sam.pipeline.large_planes import digest_image
from napari_sam.types import Prediction, Prompts, Window

__all__ = ["Replay", "choose_image", "journal_images", "journal_planes"]

Event = Mapping[str, Any]


def journal_images(events: Sequence[Event]) -> list[Event]:
    """Return the `image` events of a journal: one for each plane, as each model saw it in each brightness."""
    return [event for event in events if event["event"] == "image"]


def journal_planes(events: Sequence[Event]) -> list[tuple[int, ...]]:
    """Return the planes on which labels were written, or where there are none, those that were looked at."""
    images = journal_images(events)
    written = _last_written(events)
    used = [event for event in images if event["id"] in written] or images
    return list(dict.fromkeys(tuple(event["plane"]) for event in used))


def choose_image(events: Sequence[Event], plane: tuple[int, ...], image: npt.NDArray[Any]) -> Event:
    """Return the `image` event that the labels of a plane were left by.

    In a session the same plane may be seen by several models, in several brightnesses, and in several images. Each
    that goes on with the labels of another notes first how they stood, so the last one knows all of them.

    Parameters
    ----------
    events
        From `read_journal`.
    plane
        One of `journal_planes`.
    image
        (H, W) or (H, W, C): of the events of this plane only those of the same pixels count, if there are any.

    Returns
    -------
    event
        The one that wrote labels last; where none did, the last one.
    """
    candidates = [event for event in journal_images(events) if tuple(event["plane"]) == plane]
    digest = digest_image(image)
    candidates = [event for event in candidates if event.get("digest", digest) == digest] or candidates
    written = _last_written(events)
    return max(enumerate(candidates), key=lambda item: (written.get(item[1]["id"], -1), item[0]))[1]


class Replay:
    """Repeat what a journal says of one plane.

    Parameters
    ----------
    model
        With the weights that were used; others are refused.
    events
        From `read_journal`.
    image_event
        Which plane, one of `journal_images`.
    """

    def __init__(self, model: Sam, events: Sequence[Event], image_event: Event) -> None:
        used = image_event.get("fingerprint")
        if used and used != model.fingerprint:
            raise InputError(
                f"The journal was made with other weights of {image_event.get('model', 'a model')!r} ({used}) than "
                f"these ({model.fingerprint}): give those with --model or --checkpoint."
            )
        self._image_event = image_event
        self._events = _of_image(events, image_event)
        self._predicts = {event["id"]: event for event in self._events if event["event"] == "predict"}
        self._predictor = Predictor(model)
        self._results: dict[int, Prediction] = {}

    def run(self, image: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Return the (H, W) int32 labels that the session left on this plane.

        Raises
        ------
        InputError
            If the image is not the one of the session, or a mask comes out differently.
        """
        self._take_image(image)
        labels = np.zeros(self._predictor.image_shape, np.int32)
        editor = LabelEditor(labels)
        for event in self._events:
            if event["event"] == "base" and event["labels"] is None:
                raise InputError(f"The journal's labels lie in {event['stored']}: open them instead of replaying it.")
            if event["event"] == "base":
                base = unpack_array(event["labels"])
                if base.shape != labels.shape:
                    raise InputError(f"The journal's labels have shape {base.shape}, the image {labels.shape}.")
                labels[...] = base
            elif event["event"] == "drawn":
                _draw(labels, event)
            elif event["event"] == "commit":
                self._commit(editor, event)
            elif event["event"] == "undo":
                editor.undo()
            elif event["event"] == "redo":
                editor.redo()
        return labels

    def _take_image(self, image: npt.NDArray[Any]) -> None:
        said = self._image_event
        shape = list(image.shape[:2])
        if shape != list(said["shape"]):
            raise InputError(f"The image has shape {shape}, the journal's {said['shape']}: give the session's image.")
        if said.get("digest") and said["digest"] != digest_image(image):
            raise InputError(
                f"The image is not the one that the journal was made on ({said.get('source') or said.get('layer')}): "
                "its pixels differ."
            )
        stretch = said["normalization"]
        channels = said.get("channels")
        self._predictor.set_image(
            image,
            normalization=Normalization(low=tuple(stretch["low"]), high=tuple(stretch["high"])),
            channels=tuple(channels) if channels else None,
        )

    def _commit(self, editor: LabelEditor, event: Event) -> None:
        prediction = self._predict(event["predict"])
        patch = prediction.patches[event["candidate"]]
        if event.get("digest") and event["digest"] != digest_array(patch):
            raise InputError(
                f"The mask of label {event['label']} came out differently from the journal's: replay with the same "
                "version of PyTorch, device and number of threads."
            )
        where = prediction.window.slices
        if event.get("join"):  # the label kept what it had
            patch = patch | (editor.labels[where] == event["label"])
        editor.commit(patch, where, label=event["label"], overwrite=bool(event["overwrite"]))

    def _predict(self, number: int) -> Prediction:
        """Predict what an event says, and first the prediction that was fed back into it."""
        if number in self._results:
            return self._results[number]
        event = self._predicts.get(number)
        if event is None:
            raise InputError(f"The journal lacks prediction {number}: restore the file.")
        mask, mask_window = None, None
        if event.get("feedback"):
            earlier = self._predict(event["feedback"]["predict"])
            mask, mask_window = earlier.logits[event["feedback"]["candidate"]], earlier.window
        elif event.get("mask"):
            mask = unpack_array(event["mask"])
        prompts = Prompts(
            points=tuple((float(r), float(c)) for r, c in event["points"]),
            labels=tuple(event["labels"]),
            box=tuple(event["box"]) if event.get("box") else None,
            mask=mask,
        )
        window = _window(event.get("window"))
        if mask is not None and mask.dtype.kind == "f" and mask_window is None:  # logits made for this window
            mask_window = window
        result = self._predictor.predict_prompts(
            prompts, event.get("multimask"), window=window, mask_window=mask_window
        )
        self._results[number] = result
        return result


def _draw(labels: npt.NDArray[np.int32], event: Event) -> None:
    """Put the parts of a plane that anyone drew or changed by hand where they belong."""
    for part in event["parts"]:
        drawn, (row, col) = unpack_array(part["labels"]), (int(at) for at in part["at"])
        here = labels[row : row + drawn.shape[0], col : col + drawn.shape[1]]
        if here.shape != drawn.shape:
            raise InputError(
                f"The journal's labels of shape {drawn.shape} at {row}, {col} reach beyond the image {labels.shape}."
            )
        here[...] = drawn


def _last_written(events: Sequence[Event]) -> dict[Any, int]:
    """Return for each image that wrote labels the number of the event with which it last did."""
    image_of = {event["id"]: event["image"] for event in events if event["event"] == "predict"}
    last = {}
    for number, event in enumerate(events):
        if event["event"] == "commit":
            last[image_of.get(event["predict"])] = number
        elif event["event"] in ("base", "drawn", "undo", "redo"):
            last[event.get("image")] = number
    return last


def _of_image(events: Sequence[Event], image_event: Event) -> list[Event]:
    """Return the events of one plane; commits, undo and redo belong to the plane that they name."""
    number = image_event["id"]
    predicts = {e["id"] for e in events if e["event"] == "predict" and e["image"] == number}
    chosen = []
    for event in events:
        kind = event["event"]
        if kind in ("base", "drawn", "undo", "redo"):
            mine = event.get("image", number) == number
        elif kind == "predict":
            mine = event["image"] == number
        else:
            mine = kind == "commit" and event["predict"] in predicts
        if mine:
            chosen.append(event)
    return chosen


def _window(values: Sequence[int] | None) -> Window | None:
    if not values:
        return None
    row, col, height, width, input_height, input_width = (int(value) for value in values)
    return Window(row=row, col=col, height=height, width=width, input_height=input_height, input_width=input_width)
