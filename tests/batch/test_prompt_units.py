"""Tables of prompts for batches: what they may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam.batch.prompt_units import check_prompts_source
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.io.large_image import open_large_image
from threshold_segmenter import blobs, write_zarr


@pytest.mark.parametrize("row", ["3,point,5,6,round nucleus", "3,text,,,debris"])
def test_a_table_with_texts_is_refused_before_anything_is_segmented(tmp_path: Path, row: str) -> None:
    image = open_large_image(str(write_zarr(tmp_path / "in.zarr", blobs((60, 60)))))
    table = tmp_path / "prompts.csv"
    settings = BatchSettings(mode="prompts", prompts=str(table))
    table.write_text("object_id,kind,row,col,text\n1,point,5,6,\n")
    assert check_prompts_source(settings, image)
    table.write_text(f"object_id,kind,row,col,text\n1,point,5,6,\n{row}\n")
    with pytest.raises(InputError, match=r"Object 3 of .*prompts.csv has the text.*mode text"):
        check_prompts_source(settings, image)
