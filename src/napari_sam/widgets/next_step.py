"""What to do next in a dock, in one sentence made of what is there now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import InputError
from napari_sam.widgets.drawing import is_drawing
from napari_sam.widgets.label_layers import labels_problem

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_sam.model.sam import Sam
    from napari_sam.widgets.auto_session import AutoSession
    from napari_sam.widgets.batch_look import Plan
    from napari_sam.widgets.image_view import ImageView
    from napari_sam.widgets.session import PromptSession
    from napari_sam.widgets.text_session import TextSession

__all__ = [
    "LOW_SCORE",
    "_name",
    "auto_step",
    "batch_step",
    "prompt_step",
    "strange_image",
    "text_step",
    "train_step",
]

LOW_SCORE = 0.5  # a model expects an IoU below this: it does not know what it sees
NO_IMAGE = 'Open an image (File menu, or drop it on the window) and choose it under "Image".'


def prompt_step(session: PromptSession) -> str:
    """Say what to do next in SAM Prompts."""
    if problem := _problem(session.view) or _labels_problem(session.view, session.target.layer):
        return problem
    if is_drawing(session.layers.shapes):
        ends = "Double-click to end the polygon" if session.layers.tool == "polygon" else "Release the button to end it"
        return f"{ends}; Shift+D cancels it."
    if session.only_background:
        return "Only background so far: click on the object, too."
    if not session.drafts:
        return "Press Click and click on an object, or press Box and drag a box around one."
    if not (found := session.candidates):
        return "Wait for the outline: it comes when the model has looked at the image."
    score = found[session.choice].score
    correct = "Accept it (N), or click on what is missing and Shift+click on what is too much"
    if score < LOW_SCORE:
        return (
            f"The model is unsure of this outline (score {score:.2f}). {strange_image(session.view.model)} {correct}."
        )
    others = ", or see the next candidate (Q)" if len(found) > 1 else ""
    return f"{correct}{others}."


def auto_step(session: AutoSession, marked: int, tool: str | None) -> str:
    """Say what to do next in SAM Auto, where a tool may be switched on and some objects are marked to be merged."""
    if problem := _problem(session.view):
        return problem
    if not session.runner.busy and (problem := _labels_problem(session.view, session.board.layer)):
        return problem
    if session.runner.busy:
        return "Objects appear as they are found; Cancel keeps them, and Run goes on from there."
    if marked == 1:
        return "Click on the objects that belong to the marked one, or point at them and press G."
    if marked:
        return f"Press Merge {marked} objects (Shift+N) to make one of those that are marked."
    if tool is not None:
        return TOOL_STEPS[tool]
    if session.previewed:
        return "Move the sliders until the preview is right, then press Run."
    if session.board.objects():
        return (
            "Move the sliders, or point at an object: N settles it, Shift+D removes it, Q corrects it in SAM Prompts."
        )
    if session.board.findings().candidates:
        return "The sliders leave no object: lower Score from and Stability from."
    return "Press Preview to try what the window shows, or Run to search."


TOOL_STEPS = {
    "accept": "Click on objects that are right: they are settled and outlined in white. Press Accept again to end.",
    "delete": "Click on objects to remove them. Press Delete again to end.",
    "merge": "Click on two or more objects that are one.",
    "refine": "Click on the object to correct; SAM Prompts takes it over.",
}


def text_step(session: TextSession) -> str:
    """Say what to do next in SAM Text."""
    if problem := _problem(session.view):
        return problem
    if not session.texts:
        return 'Type what to segment under "What to segment", one line per class.'
    if session.searching:
        return "Objects appear when all masks are found and compared with the texts."
    if (result := session.result) is None:
        return "Press Run."
    if not any(len(scores) for scores in result.label_scores):
        return "Nothing scores enough: lower Score from, say it in other words, or try another CLIP."
    return "Drag the line in the histogram or edit the texts, which acts at once; Refine corrects an object by clicks."


def train_step(running: bool, opened: bool, paired: bool, listed: bool, learnt: str) -> str:
    """Say what to do next in SAM Train: is an image open, a pair chosen, data listed, and what model came of it."""
    if running:
        return "Go on working meanwhile; Stop keeps the best weights so far."
    if learnt:
        return f"Choose {learnt} under Model in another dock, or add data and train again."
    if listed:
        return "Press Start."
    if paired:
        return "Press Add layers to learn from the chosen image and its labels, or add a folder."
    if opened:
        return "Label objects of the image, all of them if you can, and choose the labels below; or press Add folder…"
    return "Open an image and label its objects, all of them if you can; or press Add folder…"


def batch_step(running: bool, plan: Plan | None, located: bool) -> str:
    """Say what to do next in SAM Batch."""
    if running:
        return "Work on meanwhile: Open result shows the tiles that are done, Stop keeps them for later."
    if not located:
        return "Choose a layer that was read from an OME-Zarr, or give a path or address."
    if plan is None:
        return "Look below for what is still missing, then press Run."
    if plan.other_job:
        return "Another job lies there: take over its settings, choose another name, or begin anew."
    if plan.done is None:
        return "Look through the settings, then press Run."
    return "All is done: press Open result." if plan.complete else "Press Go on to do the rest."


def strange_image(model: str | Sam, instead: str = "a box around the object") -> str:
    """Say that a model seems not to know an image, and what to try."""
    return f"`{_name(model)}` may not know this kind of image: try {instead}, or another model."


def _name(model: str | Sam) -> str:
    """Return how a model is called."""
    return model if isinstance(model, str) else model.name


def _labels_problem(view: ImageView, layer: Labels | None) -> str:
    """Say before the work why its labels cannot be written, "" if they can."""
    return labels_problem(layer, view.layer) if view.layer is not None else ""


def _problem(view: ImageView) -> str:
    """Say why no plane can be worked on, "" if one can."""
    if view.layer is None:
        return NO_IMAGE
    try:
        view.place()
    except InputError as error:
        return str(error)
    return ""
