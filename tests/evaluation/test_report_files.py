"""Reports as files: read back, each by another reader."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.evaluation.pictures import FOUND_COLOUR, TRUTH_COLOUR, Gallery, outline_picture
from napari_sam.evaluation.point_protocol import evaluate_points
from napari_sam.evaluation.report import summarise
from napari_sam.evaluation.report_files import check_report_files, records_csv, write_reports
from napari_sam.evaluation.scores import Score
from napari_sam.evaluation.tables import lay_out, rich_tables
from napari_sam.io.dataset import read_dataset


class Page(HTMLParser):
    """Collects tags, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.captions: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)


@pytest.fixture
def judged(known, perfect):
    folder, truth = known
    truth[2] = np.roll(truth[2], 3, axis=1)  # this image comes out worst
    gallery, scores = Gallery(), []
    other = perfect(truth, "otsu")
    for result in evaluate_points([perfect(truth), other], read_dataset(folder), rounds=4):
        gallery.add(result)
        scores += result.scores
    return scores, gallery


def test_every_kind_is_written(judged, tmp_path):
    scores, gallery = judged
    summary = {"dataset": "a/<b>", "model": "tiny & small", "settings": {"x": 1}, **summarise(scores)}
    paths = [tmp_path / name for name in ("r.json", "r.CSV", "r.html")]
    check_report_files(paths)
    write_reports(paths, summary, scores, gallery, ranked_by="one_click")
    assert json.loads(paths[0].read_text()) == summary

    table = pd.read_csv(paths[1])
    assert len(table) == 12
    assert list(table.columns[:5]) == ["image", "group", "method", "label", "area"]
    means = table.groupby("method")["one_click"].mean()
    assert means["model"] == pytest.approx(summary["all"]["one_click"], abs=1e-4)
    assert {"round_4", "noc85", "predicted"} < set(table.columns)

    text = paths[2].read_text()
    page = Page(text)
    assert page.open == []
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert "tiny &amp; small on &lt;b&gt;" in text
    assert len(page.captions) == len(page.sources) == 3
    assert [caption.split(":")[0] for caption in page.captions] == ["best", "median", "worst"]
    assert page.captions[2].startswith("worst: 2 (a), one click 0.")
    assert f"{summary['all']['one_click']:.3f}<small>" in text


@pytest.mark.parametrize(("name", "says"), [("r.txt", r"\.json, \.csv or \.html"), ("gone/r.csv", "no folder")])
def test_files_that_cannot_be_written_are_refused_first(name, says, tmp_path):
    with pytest.raises(InputError, match=says):
        check_report_files([tmp_path / "good.json", tmp_path / name])
    assert list(tmp_path.iterdir()) == []


def test_records_may_differ_in_what_they_hold():
    scores = [
        Score(image="a,b", group="", about={"label": 1}, values={"box": 0.5}, predicted=0.25),
        Score(image="a,b", group="", method="otsu", about={"label": 1}, values={"box": 1 / 3}),
    ]
    table = pd.read_csv(io.StringIO(records_csv(scores)))
    assert table["image"].tolist() == ["a,b", "a,b"]
    assert table["predicted"].tolist()[0] == 0.25
    assert np.isnan(table["predicted"][1])
    assert "predicted" not in records_csv(scores[1:])


def test_tables_have_a_row_for_each_group_and_method(judged):
    summary = summarise(judged[0])
    main, rounds = lay_out(summary)
    names = [(row[0].text, row[1].text) for row in main.rows]
    assert names == [(group, method) for group in ("a", "b", "all") for method in ("model", "otsu")]
    assert all(len(row) == len(main.columns) for row in main.rows)
    assert rounds.columns == ("group", "method", "1", "2", "3", "4")
    assert "NoC@85" in main.columns
    assert main.rows[-1][main.columns.index("objects")].text == "6"
    cell = main.rows[-2][main.columns.index("one click")]
    low, high = summary["all"]["intervals"]["one_click"]
    assert cell == (f"{summary['all']['one_click']:.3f}", f"{low:.3f}-{high:.3f}")
    assert main.rows[2][main.columns.index("one click")].note == ""  # one image has no interval
    assert [table.row_count for table in rich_tables(summary)] == [6, 6]


@pytest.mark.parametrize("shape", [(60, 90), (60, 90, 3), (700, 1200)])
def test_pictures_show_both_outlines(shape):
    image = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    truth, found = np.zeros(shape[:2], np.int32), np.zeros(shape[:2], np.int32)
    truth[5:25, 5:25], found[30:50, 40:70] = 70000, 2
    picture = np.asarray(Image.open(io.BytesIO(outline_picture(image, truth, found))))
    factor = picture.shape[1] / shape[1]
    assert 500 <= max(picture.shape) <= 600 or factor > 1
    for colour, (row, col) in ((TRUTH_COLOUR, (5, 15)), (FOUND_COLOUR, (30, 55))):
        pixels = np.argwhere((picture == colour).all(axis=-1))
        assert len(pixels)
        assert np.hypot(*(pixels / factor - (row, col)).T).min() < 2


def test_few_images_are_shown_once_each(known, perfect):
    folder, truth = known
    gallery, scores = Gallery(), []
    for result in evaluate_points([perfect(truth)], read_dataset(folder), limit=2, rounds=1):
        gallery.add(result)
        scores += result.scores
    assert [picture.rank for picture in gallery.pictures(scores, "one_click")] == ["best", "worst"]
    one = [score for score in scores if score.image == "3"]
    (picture,) = gallery.pictures(one, "one_click")
    assert (picture.rank, picture.image, picture.group) == ("only image", "3", "b")
    assert Image.open(io.BytesIO(picture.png)).format == "PNG"
