"""What others note in a layer's table stays with its labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels

from napari_sam.widgets.feature_columns import FeatureColumns


def layer_with(features: Any = None) -> Labels:
    return Labels(np.zeros((10, 10), np.int32), features=features)


def ours(*labels: int) -> dict[str, Any]:
    index = np.array(labels, np.int64)
    return {"index": index, "label": index, "area": index * 10.0}


def test_without_other_columns_only_ours_are_there() -> None:
    layer, columns = layer_with(), FeatureColumns()
    columns.write(layer, ours(1, 2))
    assert layer.features.to_dict("list") == {"index": [1, 2], "label": [1, 2], "area": [10.0, 20.0]}
    columns.write(layer, ours(2))
    assert layer.features["label"].tolist() == [2]
    columns.write(layer, {})
    assert len(layer.features) == 0


def test_cell_types_survive_objects_that_go_and_come_back() -> None:
    layer, columns = layer_with(), FeatureColumns()
    columns.write(layer, ours(1, 2, 3))
    layer.features = layer.features.assign(cell_type=["neuron", "glia", "neuron"])
    columns.write(layer, ours(1, 3, 4))
    assert layer.features["cell_type"].tolist()[:2] == ["neuron", "neuron"]
    assert pd.isna(layer.features["cell_type"].iloc[2])
    columns.write(layer, {})  # undo
    assert "cell_type" in layer.features
    columns.write(layer, ours(1, 2, 3))  # redo
    assert layer.features["cell_type"].tolist() == ["neuron", "glia", "neuron"]
    assert layer.features["area"].tolist() == [10.0, 20.0, 30.0]
    layer.features = layer.features.drop(columns="cell_type")  # what is taken away stays away
    columns.write(layer, ours(1))
    assert "cell_type" not in layer.features


def test_rows_of_labels_that_are_not_ours_stay() -> None:
    layer, columns = layer_with({"index": [7, 9], "cell_type": ["a", "b"], "area": [1.5, 2.5]}), FeatureColumns()
    columns.write(layer, ours(9, 10))
    table = layer.features.set_index("index")
    assert table["cell_type"].to_dict() == {9: "b", 10: table["cell_type"][10], 7: "a"}
    assert table["area"][7] == 1.5  # a column of the user's with a name of ours
    assert table["SAM area"].tolist()[:2] == [90.0, 100.0]
    columns.write(layer, ours(10))
    assert sorted(layer.features["index"]) == [7, 10]
    FeatureColumns().write(layer, ours(10, 11))  # another dock on the same layer
    assert sorted(layer.features["index"]) == [7, 10, 11]
    assert list(layer.features) == list(dict.fromkeys(layer.features))
    assert "SAM SAM area" not in layer.features


def test_rows_without_an_index_are_known_by_their_number_as_in_napari() -> None:
    layer, columns = layer_with({"cell_type": ["background", "one", "two"]}), FeatureColumns()
    columns.write(layer, ours(2))
    table = layer.features.set_index("index")["cell_type"]
    assert table.to_dict() == {2: "two", 0: "background", 1: "one"}
