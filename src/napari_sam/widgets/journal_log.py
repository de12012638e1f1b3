"""What happens in a session, written to its journal as it happens."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import platformdirs

import napari_sam
from napari_sam.errors import InputError
from napari_sam.io.journal import VERSION, Journal, pack_array

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_sam.widgets.drafts import Draft
    from napari_sam.widgets.engine import ImageInfo, Predicted
    from napari_sam.widgets.label_target import Drawn, Written
    from napari_sam.widgets.plane import Plane

__all__ = ["JournalLog", "journal_folder"]

PACKED_AT_ONCE = 2**18  # labels that are packed while the caller waits, some 5 ms
_files = itertools.count(1)


def journal_folder() -> Path:
    """Return where journals are kept: the environment's `NAPARI_SAM_JOURNALS`, or a folder of the user's."""
    chosen = os.environ.get("NAPARI_SAM_JOURNALS")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("napari-sam")) / "journals"


class JournalLog:
    """Turn what happens into events.

    Each plane, seen in one way by one model, is one `image` of the journal, and has its labels to itself: when another
    one goes on with a plane's labels, a `base` event says how they stand, and where they were changed by hand, a
    `drawn` event says how the parts concerned stand. Large labels are packed and written by a thread, other events by
    the time that the method returns, unless such labels are still before them.

    Parameters
    ----------
    on_problem
        Called once with the error if the journal cannot be written; the session goes on without it.
    """

    def __init__(self, on_problem: Callable[[InputError], None]) -> None:
        self._on_problem = on_problem
        self._journal: Journal | None = None
        self._broken = False
        self._images: dict[tuple[Plane, ImageInfo], int] = {}
        self._predicts: dict[tuple[int, int], int] = {}  # (image, draft) to predict
        self._unwritten: dict[int, tuple[Predicted, Image, Plane]] = {}
        self._image_of: dict[int, int] = {}  # draft to image
        self._writers: dict[Plane, int] = {}  # plane to the image that wrote its labels last
        self._commits: dict[int, int] = {}  # number of what was written to image
        self._writer = ThreadPoolExecutor(1, "napari-sam journal")
        self._waiting: deque[Future[None]] = deque()  # to be written

    @property
    def path(self) -> Path | None:
        """The journal's file, with all that happened so far; None before the first event."""
        self._settle(wait=True)
        return self._journal.path if self._journal is not None else None

    def close(self) -> None:
        """Write what is left and close the file."""
        self._settle(wait=True)
        self._writer.shutdown()
        if self._journal is not None:
            self._journal.close()
        self._broken = True

    def predict(self, answer: Predicted, image: Image, plane: Plane, *, settled: bool) -> None:
        """Record a prediction; one on the way of a drag only if something comes of it."""
        self._unwritten[answer.draft.number] = answer, image, plane
        if settled:
            self._write_predict(answer.draft)

    def choose(self, draft: Draft, candidate: int) -> None:
        """Record which candidate was chosen."""
        self._write_predict(draft)
        self._write({"event": "choose", "predict": self._predict_of(draft), "candidate": candidate})

    def commit(
        self,
        draft: Draft,
        candidate: int,
        digest: str,
        written: Written,
        drawn: Sequence[Drawn],
        *,
        overwrite: bool,
        join: bool = False,
    ) -> None:
        """Record a label that was written or joined after others had `drawn`; `digest` is that of the window's mask."""
        self._write_predict(draft)
        image = self._image_of.get(draft.number, 0)
        self._write_base(image, written, drawn)
        self._commits[written.number] = image
        self._write(
            {
                "event": "commit",
                "predict": self._predict_of(draft),
                "candidate": candidate,
                "label": written.edit.label,
                "overwrite": overwrite,
                "join": join,
                "digest": digest,
            }
        )

    def undo(self, written: Written, drawn: Sequence[Drawn]) -> None:
        """Record that a label was taken back after others had `drawn`."""
        self._write_step("undo", written, drawn)

    def redo(self, written: Written, drawn: Sequence[Drawn]) -> None:
        """Record that a label was written again, likewise."""
        self._write_step("redo", written, drawn)

    def discard(self, draft: Draft) -> None:
        """Record that an object was given up."""
        if (predict := self._predict_of(draft)) is not None:
            self._write({"event": "discard", "predict": predict})

    def _write_step(self, name: str, written: Written, drawn: Sequence[Drawn]) -> None:
        image, plane = self._commits.get(written.number, 0), written.plane.plane
        if self._writers.get(plane) == image:
            self._write_drawn(image, drawn)
            self._write({"event": name, "image": image})
        else:  # labels of an image that another one has gone on with: say how they stand now
            self._write_standing(self._writers.get(plane, image), written)

    def _write_base(self, image: int, written: Written, drawn: Sequence[Drawn]) -> None:
        plane = written.plane.plane
        before = self._writers.get(plane)
        if written.plane.stored is not None:
            if before != image:
                self._write_standing(image, written)
        elif before not in (None, image):
            self._write_standing(image, written, written.before())
        else:
            self._write_drawn(image, drawn)
        self._writers[plane] = image

    def _write_standing(self, image: int, written: Written, labels: npt.NDArray[Any] | None = None) -> None:
        """Say how labels stand; of those on disk, only where they lie."""
        if written.plane.stored is not None:
            self._write({"event": "base", "image": image, "labels": None, "stored": written.plane.stored})
            return
        whole = np.array(written.plane[:, :]) if labels is None else labels
        self._write(lambda: {"event": "base", "image": image, "labels": pack_array(whole)}, later=_is_much(whole))

    def _write_drawn(self, image: int, drawn: Sequence[Drawn]) -> None:
        if drawn:
            self._write(
                lambda: {
                    "event": "drawn",
                    "image": image,
                    "parts": [{"at": list(part.at), "labels": pack_array(part.labels)} for part in drawn],
                },
                later=_is_much(*(part.labels for part in drawn)),
            )

    def _write_predict(self, draft: Draft) -> None:
        """Write a prediction that is not written yet, and first those that it goes on from."""
        for step in draft.lineage:
            if (waiting := self._unwritten.pop(step.number, None)) is None:
                continue
            answer, layer, plane = waiting
            image = self._image_of[step.number] = self._write_image(answer.image, layer, plane)
            if (image, step.number) in self._predicts:  # predicted again after undo
                continue
            number = self._predicts[image, step.number] = len(self._predicts) + 1
            feedback = None
            if step.parent is not None:
                feedback = {"predict": self._predicts.get((image, step.parent.number)), "candidate": step.parent_choice}
            window = answer.candidates.window
            self._write(
                {
                    "event": "predict",
                    "id": number,
                    "image": image,
                    "points": step.prompts.points,
                    "labels": step.prompts.labels,
                    "box": step.prompts.box,
                    "mask": answer.mask,
                    "feedback": feedback,
                    "multimask": None,
                    "window": [
                        window.row,
                        window.col,
                        window.height,
                        window.width,
                        window.input_height,
                        window.input_width,
                    ],
                }
            )

    def _write_image(self, info: ImageInfo, layer: Image, plane: Plane) -> int:
        if (plane, info) in self._images:
            return self._images[plane, info]
        number = self._images[plane, info] = len(self._images) + 1
        if self._journal is None and not self._broken:
            self._open(info)
        source = getattr(layer.source, "path", None)
        self._write(
            {
                "event": "image",
                "id": number,
                "layer": layer.name,
                "source": None if source is None else str(source),
                "axes": plane.axes,
                "plane": plane.fixed,
                "shape": info.shape,
                "normalization": {"low": info.normalization.low, "high": info.normalization.high},
                "channels": None,
                "digest": info.digest,
                "model": info.model,
                "fingerprint": info.fingerprint,
            }
        )
        return number

    def _open(self, info: ImageInfo) -> None:
        now = datetime.now().astimezone()
        name = f"{now:%Y-%m-%d_%H-%M-%S}_{os.getpid()}_{next(_files)}.jsonl"
        try:
            self._journal = Journal(journal_folder() / name)
        except InputError as error:
            self._give_up(error)
        self._write(
            {
                "event": "session",
                "version": VERSION,
                "package": napari_sam.__version__,
                "model": info.model,
                "fingerprint": info.fingerprint,
                "time": now.isoformat(timespec="seconds"),
            }
        )

    def _predict_of(self, draft: Draft) -> int | None:
        return self._predicts.get((self._image_of.get(draft.number, 0), draft.number))

    def _write(self, event: dict[str, Any] | Callable[[], dict[str, Any]], *, later: bool = False) -> None:
        """Write an event, or what makes one, which takes its time."""
        self._settle(wait=False)
        if self._journal is None or self._broken:
            return
        alone = not self._waiting
        self._waiting.append(self._writer.submit(_put, self._journal, event))
        if alone and not later:
            self._settle(wait=True)

    def _settle(self, *, wait: bool) -> None:
        """Take note of what is written by now, or with `wait` of all."""
        while self._waiting and (wait or self._waiting[0].done()):
            error = self._waiting.popleft().exception()
            if isinstance(error, InputError):
                self._give_up(error)
            elif error is not None:
                raise error

    def _give_up(self, error: InputError) -> None:
        if not self._broken:
            self._broken = True
            self._on_problem(error)


def _put(journal: Journal, event: dict[str, Any] | Callable[[], dict[str, Any]]) -> None:
    journal.write(event() if callable(event) else event)


def _is_much(*labels: npt.NDArray[Any]) -> bool:
    return sum(each.size for each in labels) > PACKED_AT_ONCE
