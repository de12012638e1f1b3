"""Shorten open_clip's list of merges to the bundled CLIP's vocabulary: the most frequent, and those of its words.

A word of WORDS is cut into the same pieces as by the full list, since every merge that the full list applies to it is
kept, in the same order. Run it again only together with a new training: the numbers of all tokens follow from the file.
"""

from __future__ import annotations

import gzip
from pathlib import Path

COUNT = 3000
TARGET = Path(__file__).parent.parent / "src/napari_sam/model/clip_merges.txt.gz"
# the tokenizer skips the first line
NOTICE = (
    "# A part of bpe_simple_vocab_16e6.txt of https://github.com/openai/CLIP, "
    "MIT License, Copyright (c) 2021 OpenAI; see scripts/make_clip_merges.py"
)
WORDS = """
aggregate aggregates amoeboid angular area artefact artefacts axon axons background bacilli bacillus bacteria bacterium
bent big black blob blobs blue blurred blurry bright brightest brightfield brightly brown bundle bundles cell cells
cellular chromatin circle circles circular clump clumped clumps cluster clusters coarse colour coloured colourless
compact concave contrast convex cropped crowded crystal curved cytoplasm dark darker darkest debris deep dense densely
dim dirt disc discs dot dots dust edge electron ellipse elliptic elliptical elongated empty eosin epithelial even faint
fiber fibers fibre fibres filament filaments fine flat fluorescence fluorescent flat focus fragment fragments glowing
grain grainy granular gray green grey group groups haematoxylin hematoxylin histology homogeneous huge hyphae image
immunohistochemistry in irregular irregularly is isolated kidney large larger largest lobed long low magenta membrane
membranes micrograph microscope microscopy middle mitochondria mitochondrion mottled myelin narrow neural neurite
neurites neuron neurons noise noisy no not nuclear nuclei nucleus object objects of oblong organelle organelles outlined
oval pale particle particles patch pathology phase photo picture pink pixel plain purple red region ring rings rod rods
rough round rounded roundish section shape shaped sharp shiny single slender slide small smaller smallest smooth solid
sparse speckled specks speck spherical spheroid spindle spiky spot spots spread square stain stained star stretched
structure structures synthetic textured texture thick thin threads thread tile tiny tissue touching transmission tube
tubes tubular uneven uniform violet weak weakly white wide without yellow
"""


def main() -> None:
    """Write the file."""
    from open_clip.tokenizer import SimpleTokenizer, get_pairs

    full = SimpleTokenizer()
    wanted = {merge for merge, rank in full.bpe_ranks.items() if rank < COUNT}
    for word in WORDS.split():
        pieces = (*word[:-1], word[-1] + "</w>")
        while len(pieces) > 1:
            pair = min(get_pairs(pieces), key=lambda pair: full.bpe_ranks.get(pair, float("inf")))
            if pair not in full.bpe_ranks:
                break
            wanted.add(pair)
            pieces = _merged(pieces, pair)
    merges = sorted(wanted, key=full.bpe_ranks.__getitem__)
    text = "\n".join([NOTICE, *(" ".join(merge) for merge in merges)])
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)


if __name__ == "__main__":
    main()
