from __future__ import annotations

import json
from typing import Any

import pytest

from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError


def test_changes_reach_into_the_automatic_settings() -> None:
    settings = BatchSettings().changed(
        tile=512, auto={"points_per_side": 8}, normalization=(1, 250.5), channels=["DAPI"]
    )
    assert settings.tile == 512
    assert settings.auto.points_per_side == 8
    assert settings.normalization == "1.0,250.5"
    assert settings.stretch == (1.0, 250.5)
    assert settings.channels == ("DAPI",)
    assert BatchSettings().stretch == "auto"


def test_the_record_survives_json() -> None:
    record = BatchSettings(channels=("a", 2), auto=BatchSettings().auto.changed(conditions=("area>3",))).as_record()
    assert json.loads(json.dumps(record)) == record
    assert record["auto"]["conditions"] == ["area>3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "all"}, "Setting mode is 'all': choose one of auto, prompts, text"),
        ({"link": "y"}, "Setting link is 'y'"),
        ({"tile": 10}, "at least 64"),
        ({"tile": 256, "overlap": 200}, "0 to half of the tile"),
        ({"overlap": -1}, "0 to half of the tile"),
        ({"threads": 0}, "threads is 0"),
        ({"link_threshold": 0.0}, "link_threshold is 0.0"),
        ({"link_threshold": float("nan")}, "link_threshold is nan"),
        ({"label": "a/b"}, "without slashes"),
        ({"label": ""}, "label's name"),
        ({"normalization": "5,1"}, "LOW,HIGH"),
        ({"normalization": "best"}, "LOW,HIGH"),
        ({"mode": "prompts"}, "nothing to go by"),
        ({"prompts": "a.csv"}, "the mode is auto"),
        ({"mode": "prompts", "prompts": "a.csv", "link": "z"}, "leave link out"),
        ({"level": 1, "pixel_size": 0.5}, "leave one out"),
        ({"tiles": 3}, "Unknown batch setting 'tiles'"),
        ({"tile": "big"}, "give a whole number"),
        ({"auto": {"points": "best"}}, "Setting points is 'best'"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BatchSettings().changed(**changes)
