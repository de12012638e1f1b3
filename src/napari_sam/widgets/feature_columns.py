"""The table of a labels layer: columns of ours beside the user's, who may have noted cell types in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Labels

__all__ = ["FeatureColumns"]

_OURS = "napari-sam-stack columns"  # in the layer's metadata: which columns are ours
_KEYS = ("index", "label")


class FeatureColumns:
    """Write columns to a layer's features and keep what others have there.

    Values of others belong to a label: those of an object that goes come back with it, after undo and redo, say. Rows
    of labels that were never ours stay.
    """

    def __init__(self) -> None:
        self._known: pd.DataFrame | None = None  # columns of others, by label
        self._written: set[int] = set()  # labels that were ours

    def write(self, layer: Labels, columns: Mapping[str, Any]) -> None:
        """Show columns, among them `label`, of our objects; a name that is taken already gets `SAM ` before it."""
        import pandas as pd  # takes a second: not while the dock opens

        ours = pd.DataFrame(dict(columns)) if columns else pd.DataFrame({"label": np.zeros(0, np.int64)})
        labels = ours["label"].to_numpy()
        theirs = self._learn(layer)
        names = {name: f"SAM {name}" for name in ours if name in theirs}
        ours = ours.rename(columns=names)
        self._written.update(labels.tolist())
        if theirs.shape[1] and self._known is not None:
            ours = pd.concat([ours, self._known.reindex(labels).reset_index(drop=True)], axis=1)
            rest = theirs[~theirs.index.isin(list(self._written))]
            if len(rest):
                ours = pd.concat([ours, rest.rename_axis("label").reset_index()], ignore_index=True)
            ours["index"] = ours["label"]
        layer.metadata[_OURS] = [name for name in ours if name not in theirs]
        layer.features = ours

    def _learn(self, layer: Labels) -> pd.DataFrame:
        """Take note of what others have in the table, and return it, by label."""
        import pandas as pd

        table = pd.DataFrame(layer.features)
        ours = {*layer.metadata.get(_OURS, ()), *_KEYS}
        theirs = table[[name for name in table if name not in ours]].set_axis(_labels_of(table), axis=0)
        theirs = theirs[~theirs.index.duplicated(keep="last")]
        if self._known is not None:
            before = self._known.reindex(columns=theirs.columns)
            before = before[~before.index.isin(theirs.index)]
            self._known = pd.concat([theirs, before]) if len(before) else theirs
        else:
            self._known = theirs
        return theirs


def _labels_of(table: pd.DataFrame) -> pd.Index[Any]:
    """Return the label of each row, as napari tells them: by a column, else by the row's number."""
    import pandas as pd

    for name in _KEYS:
        if name in table and pd.api.types.is_numeric_dtype(table[name]) and not table[name].isna().any():
            return pd.Index(table[name].astype(np.int64))
    return pd.RangeIndex(len(table))
