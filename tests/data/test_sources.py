"""A source is a path, with options behind a question mark; what cannot be used is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_folders import write_folder
from napari_sam.data.sources import SourceOptions, list_images, parse_source, raise_problems
from napari_sam.errors import InputError


def test_options_follow_a_question_mark(tmp_path):
    path, options = parse_source("a/b.zarr?level=1&every=4&labels=nuclei&channels=2,0")
    assert path == Path("a/b.zarr")
    assert options == SourceOptions(level=1, every=4, labels="nuclei", channels=(2, 0))
    odd = tmp_path / "what?"
    odd.mkdir()
    assert parse_source(str(odd)) == (odd, SourceOptions())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a?colour=1", "unknown option colour: use every, channels, level, labels, images"),
        ("a?every=x", "every=x: give whole numbers"),
        ("a?every=0", "every is at least 1"),
        ("a?complete=2", "complete 0 or 1"),
        ("a?level=-1", "level at least 0"),
    ],
)
def test_options_that_cannot_be_used(source, message):
    with pytest.raises(InputError, match=message):
        parse_source(source)


def test_every_problem_is_listed_and_what_is_good_kept(tmp_path):
    good = write_folder(tmp_path / "good", ["a", "b"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.json").write_text("[]")
    sources = [good, tmp_path / "gone", tmp_path / "empty", tmp_path / "text.json", f"{good}?level=2"]
    images, problems = list_images(sources)
    assert [Path(image.name).name for image in images] == ["a.png", "b.png"]
    assert len(problems) == 4
    for text, part in zip(problems, ("gone", "no folder", "no COCO or SA-1B", "no option level"), strict=True):
        assert part in text


def test_a_long_list_is_cut_at_twenty_lines():
    raise_problems([])
    with pytest.raises(InputError, match=r"^only this$"):
        raise_problems(["only this"])
    for count, lines in ((2, 3), (19, 20), (20, 20), (500, 20)):
        with pytest.raises(InputError) as caught:
            raise_problems([f"Problem {i}\nin two lines." for i in range(count)])
        text = str(caught.value).split("\n")
        assert len(text) == lines
        assert f"{count} problems" in text[0]
        if count > 19:
            assert text[-1] == f"- And {count - 18} more."
