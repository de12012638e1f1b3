"""Which data make the bundled weights, and which kinds are left out to see how they do on what they never saw."""

from __future__ import annotations

__all__ = ["HELD_OUT", "LEFT_OUT", "TRAINING"]

# What may train weights that are shipped, by the licences in the data's README; of the one volume every fourth plane.
# Sets whose objects are not all labelled teach prompts only.
TRAINING = (
    "dsb2018/train",
    "train_extra/usiigaci_phase",
    "train_extra/axon_sem",
    "train_extra/plantseg_ovule_nuclei_3d?every=4",
    "train_extra/pfc_neurons",
    "train_more/ampis_powder",
    "train_more/baby_yeast_bf",
    "train_more/colicoords_bf?complete=0",
    "train_more/embryo_bf?complete=0",
    "train_more/fetal_head_us?complete=0",
    "train_more/fluocells?complete=0",
    "train_more/krd_wbc?complete=0",
    "train_more/mushrooms",
    "train_more/nasa_ebc",
    "train_more/nasa_meltpool?complete=0",
    "train_more/nasa_superalloy",
    "train_more/neubias_mixed?complete=0",
    "train_more/nuts_labelme?complete=0",
    "train_more/sct_spine_mr?complete=0",
    "train_more/spider_spine_mr?complete=0",
    "train_more/tnbc_he",
)
HELD_OUT = "dsb2018/val"
# Leave-kinds-out: one set of each family (blood, embryo, photograph, MR, fluorescent neurons, particles).
LEFT_OUT = ("krd_wbc", "embryo_bf", "mushrooms", "spider_spine_mr", "fluocells", "ampis_powder")
