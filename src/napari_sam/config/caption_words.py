"""What can be said of an object in a microscope's image: facets, their values, and the words for them."""

from __future__ import annotations

import re

__all__ = [
    "ADJECTIVES",
    "COMPATIBLE",
    "FACETS",
    "NOUNS",
    "PLACES",
    "PREFIXES",
    "THINGS",
    "vocabulary",
]

# Of each facet an object has one value, or none that is certain.
FACETS: dict[str, tuple[str, ...]] = {
    "size": ("small", "large"),
    "shape": ("round", "elongated", "irregular"),
    "brightness": ("bright", "dark"),
    "texture": ("smooth", "textured"),
    "colour": ("purple", "blue", "brown", "green", "pink", "gray"),
    "crowding": ("crowded", "isolated"),
    "modality": ("fluorescence", "brightfield", "phase contrast", "electron microscopy", "stained tissue"),
    "kind": ("nucleus", "cell", "axon", "neuron", "rod", "filament", "clump", "debris", "background"),
}

# Values that do not exclude each other: an object that has the one may be called the other, or may not.
COMPATIBLE: dict[str, tuple[tuple[str, str], ...]] = {
    "colour": (("purple", "blue"), ("purple", "pink"), ("pink", "brown")),
    "modality": (("brightfield", "stained tissue"),),
    "kind": (
        ("nucleus", "cell"),
        ("axon", "cell"),
        ("neuron", "cell"),
        ("rod", "cell"),
        ("filament", "axon"),
        ("filament", "neuron"),
        ("axon", "neuron"),
    ),
}

# The first word of each is drawn most often.
ADJECTIVES: dict[str, tuple[str, ...]] = {
    "small": ("small", "tiny", "little"),
    "large": ("large", "big", "huge"),
    "round": ("round", "circular", "rounded", "roundish", "spherical", "disc shaped"),
    "elongated": ("elongated", "long", "stretched", "slender", "oblong", "narrow", "elliptical"),
    "irregular": ("irregular", "lobed", "irregularly shaped", "angular", "spiky"),
    "bright": ("bright", "glowing", "shiny", "intense", "light"),
    "dark": ("dark", "dim", "faint", "weak", "black"),
    "smooth": ("smooth", "homogeneous", "uniform", "even", "plain"),
    "textured": ("textured", "granular", "mottled", "speckled", "rough", "grainy"),
    "purple": ("purple", "violet", "magenta"),
    "blue": ("blue", "bluish"),
    "brown": ("brown", "brownish"),
    "green": ("green", "greenish"),
    "pink": ("pink", "red", "reddish"),
    "gray": ("gray", "grey", "colourless", "colorless"),
    "crowded": ("dense", "crowded", "touching", "densely packed"),
    "isolated": ("isolated", "single", "sparse"),
    "fluorescence": ("fluorescent",),
    "brightfield": ("brightfield",),
    "phase contrast": ("phase contrast",),
    "electron microscopy": ("electron microscopy",),
    "stained tissue": ("stained", "histology", "tissue"),
}

# Where the object is seen, after the noun or alone.
PLACES: dict[str, tuple[str, ...]] = {
    "fluorescence": ("fluorescence", "a fluorescence image", "a fluorescence microscope"),
    "brightfield": ("brightfield", "a brightfield image", "transmission light"),
    "phase contrast": ("phase contrast", "a phase contrast image"),
    "electron microscopy": ("electron microscopy", "an electron micrograph", "an electron microscope"),
    "stained tissue": ("stained tissue", "a tissue section", "histology", "a pathology slide", "hematoxylin and eosin"),
}

# One, and many.
NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "nucleus": (("nucleus", "nuclei"),),
    "cell": (("cell", "cells"),),
    "axon": (("axon", "axons"), ("nerve fiber", "nerve fibers")),
    "neuron": (("neuron", "neurons"), ("nerve cell", "nerve cells")),
    "rod": (("rod", "rods"), ("bacterium", "bacteria"), ("bacillus", "bacilli")),
    "filament": (("filament", "filaments"), ("fiber", "fibers"), ("fibre", "fibres"), ("thread", "threads")),
    "clump": (
        ("clump", "clumps"),
        ("cluster", "clusters"),
        ("aggregate", "aggregates"),
        ("clump of nuclei", "clumps of nuclei"),
        ("clump of cells", "clumps of cells"),
        ("group of cells", "groups of cells"),
    ),
    "debris": (
        ("debris", "debris"),
        ("dirt", "dirt"),
        ("dust", "dust"),
        ("fragment", "fragments"),
        ("speck", "specks"),
    ),
    "background": (("background", "background"), ("empty region", "empty regions"), ("empty background", "background")),
}

# Nouns that say no more than that there is something.
THINGS = (("object", "objects"), ("structure", "structures"), ("particle", "particles"), ("blob", "blobs"))

PREFIXES = (
    "an image of {}",
    "a photo of {}",
    "a picture of {}",
    "a microscopy image of {}",
    "a micrograph of {}",
    "all {}",
    "the {}",
    "find {}",
    "segment all {}",
    "show the {}",
)


def vocabulary() -> frozenset[str]:
    """Return every word, in lower case, that captions are made of."""
    phrases = ["not", "ones", *PREFIXES, *(noun for pair in THINGS for noun in pair)]
    phrases += [phrase for table in (ADJECTIVES, PLACES) for group in table.values() for phrase in group]
    phrases += [noun for group in NOUNS.values() for pair in group for noun in pair]
    return frozenset(re.findall(r"[^\W_]+", " ".join(phrases).lower()))
