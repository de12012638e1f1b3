"""A script that opens docks and simply ends does so in silence, whatever goes on in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import napari
import numpy as np
from qtpy.QtCore import QTimer

how = sys.argv[1]
viewer = napari.Viewer(show=how == "event loop")  # which ends when the last window that was seen is closed
image = np.zeros((96, 96), np.uint8)
image[30:50, 30:50] = 200
viewer.add_image(image)
names = ("SAM Prompts", "SAM Auto", "SAM Text", "SAM Batch", "SAM Train")
docks = [viewer.window.add_plugin_dock_widget("napari-sam-stack", name)[1] for name in names]
if how != "idle":
    prompts, auto, text, *_ = docks
    prompts.add_point((40, 40))
    auto.run()
    text.set_texts("nuclei")
    text.run()
if how == "predicted":
    prompts.wait_idle(timeout=250)
    prompts.accept()
if how == "closed":
    viewer.close()
if how == "event loop":
    QTimer.singleShot(200, viewer.close)
    napari.run()
"""


@pytest.mark.timeout(600)  # PyTorch is loaded in a process of its own
@pytest.mark.parametrize("how", ["idle", "running", "predicted", "closed", "event loop"])
def test_a_script_with_all_docks_ends(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM_JOURNALS", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, how], capture_output=True, text=True, timeout=580, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
