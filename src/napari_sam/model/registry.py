"""The models that can be asked for by name, where their weights come from and what proves them right."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_sam.errors import InputError
from napari_sam.model.folders import cache_folder, data_folder
from napari_sam.model.own_models import read_rows, write_rows

__all__ = [
    "CLIP_MODELS",
    "MODELS",
    "ModelRow",
    "bundled_file",
    "check_name",
    "find_model",
    "register_user_model",
    "user_models",
    "weights_file",
]

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_BIOIMAGE = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """Describe one model.

    Parameters
    ----------
    name, architecture
        What to ask for, and the key of `model.build.SPECS`; of a CLIP that of `model.clip_towers.find_clip_spec`.
    urls
        Where the weights are, the first tried first; () for a bundled or imported model.
    known_hash
        "algorithm:hex" as pooch takes it; "" for the bundled model, which comes with the package.
    size
        Bytes, or 0 where not published.
    file
        Name of the weights file in the cache, of a model of the user's in their data folder.
    other_names
        Names under which other tools keep the same file.
    licence
        For the list.
    about
        What it is good for.
    preprocess
        "sam" or "medsam".
    kind
        "sam", or "clip" for models that tell how well an image fits a text.
    """

    name: str
    architecture: str
    urls: tuple[str, ...] = ()
    known_hash: str = ""
    size: int = 0
    file: str
    other_names: tuple[str, ...] = ()
    licence: str = ""
    about: str = ""
    preprocess: str = "sam"
    kind: str = "sam"


def _authors(name: str, file: str, size: int, sha: str, about: str) -> ModelRow:
    return ModelRow(
        name=name,
        architecture=name,
        urls=(f"{_META}/{file}",),
        known_hash=f"sha256:{sha}",
        size=size,
        file=file,
        other_names=(name,),
        licence="Apache-2.0",
        about=about,
    )


def _micro_sam(name: str, folder: str, version: str, xxh: str, about: str) -> ModelRow:
    architecture = "_".join(name.split("_")[:2])
    return ModelRow(
        name=name,
        architecture=architecture,
        urls=(f"{_BIOIMAGE}/{folder}/{version}/files/{architecture}.pt",),
        known_hash=f"xxh128:{xxh}",
        file=f"{name}.pt",
        other_names=(name,),
        licence="CC-BY-4.0",
        about=about,
    )


_LM, _EM = "cells in light microscopy (micro-sam)", "organelles in electron microscopy (micro-sam)"

MODELS: tuple[ModelRow, ...] = (
    ModelRow(
        name="cells",
        architecture="cells",
        file="cells.safetensors",
        licence="BSD-3-Clause",
        about="nuclei and small round cells; comes with the package",
    ),
    _authors(
        "vit_b",
        "sam_vit_b_01ec64.pth",
        375042383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        "objects of any kind, from photographs; the smallest of three",
    ),
    _authors(
        "vit_l",
        "sam_vit_l_0b3195.pth",
        1249524607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        "objects of any kind, finer; the middle one of three",
    ),
    _authors(
        "vit_h",
        "sam_vit_h_4b8939.pth",
        2564550879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        "objects of any kind, finest; slow without a GPU",
    ),
    ModelRow(
        name="mobile_sam",
        architecture="vit_t",
        urls=("https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",),
        known_hash="sha256:6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        size=40728226,
        file="mobile_sam.pt",
        other_names=("vit_t",),
        licence="Apache-2.0",
        about="objects of any kind, small and quick (MobileSAM)",
    ),
    ModelRow(
        name="medsam",
        architecture="vit_b",
        urls=("https://zenodo.org/records/10689643/files/medsam_vit_b.pth",),
        known_hash="md5:3bb6db55bd0c9ca30b61248bca72f8d6",
        file="medsam_vit_b.pth",
        other_names=("vit_b_medical_imaging",),
        licence="Apache-2.0",
        about="organs in medical images, by boxes only (MedSAM)",
        preprocess="medsam",
    ),
    _micro_sam("vit_t_lm", "faithful-chicken", "1.1", "72ec5074774761a6e5c05a08942f981e", _LM),
    _micro_sam("vit_b_lm", "diplomatic-bug", "1.2", "fe9252a29f3f4ea53c15a06de471e186", _LM),
    _micro_sam("vit_l_lm", "idealistic-rat", "1.2", "017f20677997d628426dec80a8018f9d", _LM),
    _micro_sam("vit_t_em_organelles", "greedy-whale", "1", "253474720c497cce605e57c9b1d18fd9", _EM),
    _micro_sam("vit_b_em_organelles", "noisy-ox", "1.2", "f3bf2ed83d691456bae2c3f9a05fb438", _EM),
    _micro_sam("vit_l_em_organelles", "humorous-crab", "1.2", "810b084b6e51acdbf760a993d8619f2d", _EM),
)


def _clip(name: str, architecture: str, where: str, size: int, sha: str, licence: str, about: str) -> ModelRow:
    return ModelRow(
        name=name,
        architecture=architecture,
        urls=(f"https://huggingface.co/{where}",),
        known_hash=f"sha256:{sha}",
        size=size,
        file=f"{name}{Path(where).suffix}",
        licence=licence,
        about=about,
        kind="clip",
    )


CLIP_MODELS: tuple[ModelRow, ...] = (
    ModelRow(
        name="bundled",
        architecture="clip_bundled",
        file="text.safetensors",
        licence="BSD-3-Clause",
        about="words for shape, size, brightness and colour; comes with the package",
        kind="clip",
    ),
    _clip(
        "clip_vit_b_32",
        "ViT-B-32",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/1a25a446712ba5ee05982a381eed697ef9b435cf/open_clip_model.safetensors",
        605143316,
        "ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6",
        "MIT",
        "everyday words, from photographs (laion2b_s34b_b79k)",
    ),
    _clip(
        "clip_vit_b_16",
        "ViT-B-16",
        "laion/CLIP-ViT-B-16-laion2B-s34B-b88K/resolve/7288da5a0d6f0b51c4a2b27c624837a9236d0112/open_clip_model.safetensors",
        0,
        "3f25d29d3cc74e1d25d47e0593b4dd0864ced1e9b4d8e486a247ca4502f227f1",
        "MIT",
        "everyday words, from photographs, finer (laion2b_s34b_b88k)",
    ),
    _clip(
        "mobileclip_s1",
        "MobileCLIP-S1",
        "apple/MobileCLIP-S1-OpenCLIP/resolve/d147e67ab3c9c7a209064ec89c075e6623a47ae9/open_clip_model.safetensors",
        0,
        "4c44cc904a37444bed045b0498c9917711e5c9076aff3988f3946326238b959e",
        "Apple ASCL",
        "everyday words, from photographs, quick (datacompdr)",
    ),
    _clip(
        "biomedclip",
        "biomedclip",
        "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224/resolve/9f341de24bfb00180f1b847274256e9b65a3a32e/open_clip_pytorch_model.bin",
        0,
        "52cc993c5c5ff962bd0c60931874bc001e7e9b41666a385530f4a036294576be",
        "MIT",
        "biomedical words, from figures; needs the package transformers",
    ),
)


def bundled_file(row: ModelRow) -> Path | None:
    """Return the weights that came with the package, or None."""
    file = Path(__file__).parent.parent / "weights" / row.file
    return file if not row.urls and not row.known_hash and file.is_file() else None


def weights_file(row: ModelRow) -> Path:
    """Return where a model's weights lie once they are here: a bundled one's, a download's or the user's own."""
    if (bundled := bundled_file(row)) is not None:
        return bundled
    return (cache_folder() if row.urls else data_folder()) / row.file


def user_models(kind: str = "sam") -> tuple[ModelRow, ...]:
    """Return the models of a kind that were trained or added by `models import`; "" for all kinds."""
    rows = read_rows()
    try:
        models = tuple(ModelRow(**{**row, "urls": (), "other_names": ()}) for row in rows)
    except TypeError as error:
        raise InputError(
            f"Cannot read the list of your models in {data_folder()} ({error}): remove it and import them again."
        ) from error
    return tuple(model for model in models if kind in ("", model.kind))


def register_user_model(row: ModelRow) -> None:
    """Add a model of the user's to the list, replacing one of the same name."""
    write_rows([*(old for old in read_rows() if old.get("name") != row.name), asdict(row)])


def check_name(name: str) -> None:
    """Check, before any work is done, that a result may be called so.

    Raises
    ------
    InputError
        If the name belongs to a model that comes with the package or is downloaded, or makes no file name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"The name {name!r} is not usable: take letters, digits, dots, - and _.")
    if name in {row.name for row in MODELS}:
        raise InputError(f"The name {name!r} belongs to a model of the list: give the result a name of its own.")


def find_model(name: str, kind: str = "sam") -> ModelRow:
    """Return the row of a name among the models of a kind, "sam" or "clip"; "" looks at both.

    Raises
    ------
    InputError
        If there is none, with the nearest name and all names.
    """
    rows = {row.name: row for row in (*MODELS, *CLIP_MODELS, *user_models("")) if kind in ("", row.kind)}
    if name in rows:
        return rows[name]
    close = difflib.get_close_matches(name, rows, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    what = "CLIP" if kind == "clip" else "model"
    raise InputError(f"Unknown {what} {name!r}{hint}: choose one of {', '.join(rows)}.")
