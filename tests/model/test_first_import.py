"""The first import of large libraries says how far it got, and is never broken off."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_sam.errors import OperationCancelled
from napari_sam.model import first_import
from napari_sam.model.first_import import import_for


def test_a_first_import_rises_to_the_end():
    code = (
        "from napari_sam.model.first_import import import_for, needs_import\n"
        "assert needs_import('masks')\n"
        "seen = []\n"
        "import_for('masks', lambda done, total: seen.append((done, total)))\n"
        "assert not needs_import('masks')\n"
        "assert len(seen) > 1 and seen == sorted(seen) and seen[-1][0] == seen[-1][1], seen\n"
        "assert all(done < total for done, total in seen[:-1]), seen\n"
        "print(len(seen))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_who_cancels_has_whole_modules_in_the_end(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.2)\nREADY = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(first_import, "LOOK_EVERY", 0.01)
    monkeypatch.setitem(first_import._PURPOSES, "masks", (("slow_to_import",), 3))

    def stop(*_):
        raise OperationCancelled("stopped")

    with pytest.raises(OperationCancelled):
        import_for("masks", stop)
    assert sys.modules.pop("slow_to_import").READY
