"""The demo writes pictures without a display and falls back to them when no window opens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from napari_sam.cli import demo as demo_module
from napari_sam.cli.demo import demo, draw_overlay, open_viewer, why_no_window
from napari_sam.errors import InputError
from napari_sam.sample_data import DemoSample, demo_sample


@pytest.fixture
def small_labels(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Put labels with 300 objects in place of the model's."""
    labels = np.zeros(demo_sample().image.shape[:2], np.int32)
    labels[0, :300] = np.arange(1, 301)
    monkeypatch.setattr(demo_module, "segment_sample", lambda _: labels)
    return labels


def fake_viewer(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script in the place of the Python that would run the viewer; its $3 is the labels file."""
    path = folder / "viewer"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_bundled_model_segments_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo(headless=True, output=tmp_path / "new" / "folder")
    said = capsys.readouterr().out
    assert "labels.png" in said
    assert "overlay.png" in said
    labels = imread(tmp_path / "new" / "folder" / "labels.png")
    sample = demo_sample()
    assert labels.dtype == np.uint16
    assert labels.shape == sample.image.shape[:2]
    hit = [labels[click] > 0 for click in sample.clicks]
    assert np.mean(hit) >= 0.75
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() < 0.02 * labels.size  # nuclei, not the ground between them


def test_no_display_means_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_labels: np.ndarray
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    demo(headless=False, output=tmp_path, as_json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["window"] is False
    assert summary["objects"] == 300
    np.testing.assert_array_equal(imread(summary["labels"]), small_labels)
    assert imread(summary["overlay"]).shape == (1200, 1200, 3)


def test_missing_qt_binding_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(demo_module.importlib.util, "find_spec", lambda name: name == "napari" or None)
    assert "napari-sam-stack[all]" in (why_no_window() or "")


def test_window_opened_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_labels: np.ndarray) -> None:
    fake_viewer(tmp_path, monkeypatch, 'test -s "$3" && rm "$3"; exit 3')
    assert open_viewer(small_labels) is None


def test_window_that_does_not_open_leaves_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small_labels: np.ndarray
) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(demo_module, "why_no_window", lambda: None)
    fake_viewer(
        tmp_path, monkeypatch, "echo 'qt.qpa.xcb: could not connect to display :99.' >&2; echo Plugins: xcb >&2; exit 1"
    )
    demo(headless=False, output=tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(
        "No window, because napari could not open (qt.qpa.xcb: could not connect to display :99)"
    )
    assert (tmp_path / "labels.png").exists()


def test_output_that_is_a_file(tmp_path: Path, small_labels: np.ndarray) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="choose another with --output"):
        demo(headless=True, output=tmp_path / "taken")


def test_overlay_marks_objects_and_clicks() -> None:
    sample = DemoSample(name="s", image=np.full((20, 30), 100, np.uint8), clicks=((5, 6),), source="")
    labels = np.zeros((20, 30), np.int32)
    labels[2:12, 2:12] = 1
    overlay = draw_overlay(sample, labels)
    assert overlay.shape == (40, 60, 3)
    assert tuple(overlay[11, 13]) == (255, 0, 0)
    assert tuple(overlay[4, 10]) == (255, 255, 0)
    assert tuple(overlay[35, 50]) == (100, 100, 100)
    assert len(set(overlay[20, 20].tolist())) > 1
