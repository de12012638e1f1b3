"""Models for other programs: the authors' key layout, safetensors, ONNX."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from napari_sam.errors import InputError
from napari_sam.model.sam import OF_TEXTS, Sam
from napari_sam.paths import local_path

__all__ = ["FORMATS", "export_model"]

# format: file name extensions, the first of which is usual
FORMATS: dict[str, tuple[str, ...]] = {"sam": (".pth", ".pt"), "safetensors": (".safetensors",), "onnx": (".onnx",)}


def export_model(model: Sam, path: str | Path, format: str | None = None) -> tuple[Path, ...]:  # noqa: A002 - what users call it
    """Write a model to files that other programs read.

    - "sam": a state dict in the authors' key layout, float32, which `segment_anything.sam_model_registry` and
      micro-sam load for a ViT, and MobileSAM for a TinyViT.
    - "safetensors": the same keys for every architecture.
    - "onnx": `NAME.encoder.onnx` and `NAME.decoder.onnx`, see `model.export_onnx`.

    Parameters
    ----------
    model
        Of any device; the files hold float32.
    path
        The file to write; an existing one is replaced.
    format
        A key of `FORMATS`; None tells it by the extension.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If format and file do not fit, the model has no such layout, the extra `export` is missing, or the file cannot
        be written.
    """
    path = local_path(path)
    format = format or next((name for name, ends in FORMATS.items() if path.suffix.lower() in ends), "")  # noqa: A001
    if format not in FORMATS:
        known = ", ".join(f"{name} ({' or '.join(ends)})" for name, ends in FORMATS.items())
        raise InputError(f"The format of {path.name} is not known: choose {known}.")
    if path.suffix.lower() not in FORMATS[format]:
        raise InputError(f"{path.name} does not end like the format {format}: name it {' or '.join(FORMATS[format])}.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder {path.absolute().parent} to write {path.name} to: make it first.")
    if format == "onnx":
        from napari_sam.model.export_onnx import export_onnx

        return export_onnx(model, path)
    state = {key: value.detach().cpu().float().contiguous() for key, value in model.state_dict().items()}
    if format == "safetensors":
        metadata = {"architecture": model.spec.architecture, "preprocess": model.spec.preprocess}
        _write_whole(path, lambda part: save_file(state, part, metadata=metadata))
    else:
        if model.spec.encoder == "cell":
            raise InputError(
                f"The authors' layout has no place for the encoder of {model.name} ({model.spec.architecture}): "
                "export it as safetensors or onnx."
            )
        plain = {key: value for key, value in state.items() if not key.startswith(OF_TEXTS)}  # no place for them there
        _write_whole(path, lambda part: torch.save(plain, part))
    return (path,)


def _write_whole(path: Path, write: Callable[[str], None]) -> None:
    """Write beside `path`, then rename: whoever looks finds the old file or the new one."""
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as folder:
            part = os.path.join(folder, "part")
            write(part)
            os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter
        raise InputError(f"Cannot write {path}: {str(error).splitlines()[0]}; choose another place.") from error
