"""`napari-sam export`: a model for other programs."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    name: Annotated[str, typer.Argument(help="A model of `napari-sam models list`, or an architecture.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File: .pth, .safetensors or .onnx.")],
    format_: Annotated[
        str | None, typer.Option("--format", help="sam, safetensors or onnx; told by the extension.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file instead of the model's own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Write a model in the authors' layout (.pth), as safetensors, or as ONNX encoder and decoder."""
    from napari_sam.io.output_place import keep_inputs
    from napari_sam.model.export import export_model
    from napari_sam.model.load import load_model

    keep_inputs(output, [checkpoint] if checkpoint else [], "weights")
    model = load_model(name, checkpoint=checkpoint, device="cpu", precision="float32")
    files = [str(file) for file in export_model(model, output, format_)]
    if json:
        typer.echo(json_.dumps({"model": name, "architecture": model.spec.architecture, "files": files}))
    else:
        typer.echo(f"Exported {name} to {' and '.join(files)}.")
