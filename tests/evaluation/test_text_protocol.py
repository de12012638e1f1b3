"""The text protocol gives full marks to who knows the answer, and chance to who does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from clip_helpers import ColourClip, discs
from data_folders import write_folder
from napari_sam.config.caption_words import FACETS
from napari_sam.data.caption_objects import ObjectSet, describe_labels
from napari_sam.data.captions import encode_values
from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.evaluation.text_players import RankPlayer
from napari_sam.evaluation.text_protocol import (
    average_precision,
    evaluate_retrieval,
    evaluate_text_masks,
    fit_temperature,
    prompt_of,
    scene_objects,
)
from napari_sam.evaluation.text_report import check_text_reports, report_text, run_text
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.ops.label_records import labels_to_records


def test_average_precision():
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert average_precision(scores, np.array([True, True, False, False])) == 1
    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.ones(4), np.array([True, False, False, False])) == 0.25  # no order, no credit
    assert average_precision(scores, np.array([False, False, False, True])) == 0.25


def objects() -> ObjectSet:
    image, labels = discs()
    found = describe_labels(Sample(image=image, labels=labels), np.random.default_rng(0), extras=False)
    colours = ["pink", "pink", "green", "blue"]
    kinds = ["nucleus", "nucleus", "nucleus", "nucleus"]
    sizes = [None, "small", "large", None]
    codes = [encode_values({"colour": c, "kind": k, "size": s}) for c, k, s in zip(colours, kinds, sizes, strict=True)]
    return ObjectSet(image=image, records=found.records, codes=np.stack(codes), side=found.side)


def copies(n: int = 6) -> list[tuple[str, ObjectSet]]:
    return [(str(number), objects()) for number in range(n)]


def test_retrieval_of_one_who_sees_colours_only():
    ranker = TextRanker(ColourClip(), views=("zero",), templates=("{}",), contrasts=False, negatives=("nothing",))
    scores = list(evaluate_retrieval(ranker, copies()))
    by = {(s.group, s.about["value"]): s.values for s in scores if s.group == "colour"}
    values = FACETS["colour"]
    assert by["colour", values.index("green")] == {"average_precision": 1.0, "chance": 0.25}
    assert by["colour", values.index("blue")]["average_precision"] == 1
    sizes = [s for s in scores if s.group == "size"]
    assert len(sizes) == 2 * 6  # small and large in each image
    assert all(s.about["ranked"] == 2 for s in sizes)
    assert {s.group for s in scores} == {"colour", "size"}  # all are nuclei: nothing to tell apart


class Answers:
    """Know the pixels of each text."""

    def __init__(self, name: str, answers: dict[str, np.ndarray]) -> None:
        self.name, self.answers = name, answers

    def set_image(self, image: np.ndarray) -> None:
        self.shape = image.shape[:2]

    def select(self, text: str, meant: np.ndarray) -> np.ndarray:
        return self.answers.get(text, np.zeros(self.shape, bool))


def test_masks_by_text():
    found = objects()
    first, second, third, fourth = (record.mask for record in found.records)
    right = {
        "nuclei": first | second | third | fourth,
        # of the first it is not certain, so neither it nor a mask of it that ends a little further out does harm
        "small nuclei": second | (ndimage.binary_dilation(first, iterations=2) & ~third),
        "large nuclei": third,
        "pink nuclei": first | second,
        "green nuclei": third | fourth,  # one too many
    }
    players = [Answers("model", right), Answers("nobody", {})]
    scores = list(evaluate_text_masks(players, [("a", found)]))
    mine = [(s.group, round(s.values["iou"], 3)) for s in scores if s.method == "model"]
    share = third.sum() / (third | fourth).sum()
    assert mine == [
        ("kind", 1),
        ("size", 1),
        ("size", 1),
        ("colour", 0),  # blue comes first in the table of colours, and is not answered
        ("colour", round(float(share), 3)),
        ("colour", 1),
    ]
    assert all(s.values["iou"] == 0 for s in scores if s.method == "nobody")
    every = [s.values["everything"] for s in scores if s.group == "kind"]
    assert every == [1, 1]
    assert len(list(evaluate_text_masks(players[:1], [("a", found)], attributes=False))) == 1


class Generator:
    """Find the true objects."""

    def __init__(self) -> None:
        from napari_sam.config.auto import AUTO_PRESETS, AutoSettings

        self.settings = AutoSettings(**AUTO_PRESETS["cells"])

    def generate(self, image: np.ndarray, **_: object) -> list:
        return labels_to_records(discs()[1])


def test_the_player_by_rank_chooses_among_the_masks_of_the_generator():
    ranker = TextRanker(ColourClip(), views=("zero",), templates=("{}",), negatives=("nothing",))
    player = RankPlayer(Generator(), ranker)
    image, labels = discs()
    player.set_image(image)
    assert np.array_equal(player.select("green", labels == 3), labels == 3)


def test_temperature_of_sure_and_right_answers_is_low_and_of_guesses_high():
    class Guessing(ColourClip):
        def encode_texts(self, texts):
            vectors = np.abs(np.random.default_rng(len(texts)).normal(size=(len(texts), 4))).astype(np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    colours = copies()
    for _, found in colours:  # only what such a CLIP can know
        found.codes[:, [i for i, name in enumerate(FACETS) if name != "colour"]] = -1
        found.codes[:2, list(FACETS).index("colour")] = -1
    views = {"views": ("zero",), "templates": ("{}",)}
    assert fit_temperature(TextRanker(ColourClip(), **views), colours) < 1
    assert fit_temperature(TextRanker(Guessing(), **views), colours) > 2


def test_prompts_are_plain_words():
    assert prompt_of("kind", "nucleus") == "nuclei"
    assert prompt_of("shape", "elongated") == "elongated"
    assert prompt_of("modality", "fluorescence") == "fluorescence"


def test_scenes_to_judge_by_are_others_than_those_of_training():
    from napari_sam.data.caption_objects import SCENES, describe_scene

    name, found = next(scene_objects(1, seed=0, size=(96, 96)))
    trained = describe_scene(np.random.default_rng((0, 0, 0)), (96, 96), next(iter(SCENES)), most=30)
    assert name.startswith(next(iter(SCENES)))
    assert not np.array_equal(found.image, trained.image)


def test_of_scenes_all_objects_are_known():
    """Those left out would be counted as ground that a mask must not cover."""
    assert max(len(found.records) for _, found in scene_objects(3, seed=0)) > 60


def test_report(tmp_path):
    folder = str(write_folder(tmp_path / "set", ["a", "b"]))
    ranker = TextRanker(ColourClip())
    summary, scores = run_text(ranker, None, [folder], scenes=4)
    files = [tmp_path / "r.json", tmp_path / "r.csv"]
    tables = report_text(files, summary, scores)
    assert [table.title for table in tables] == ["Objects ranked by a word"]
    assert summary["retrieval"]["all"]["queries"] == len(scores)
    assert len(files[1].read_text().splitlines()) == len(scores) + 1
    with pytest.raises(InputError, match="held out"):
        run_text(ranker, None, [folder], hold_out=5)
    with pytest.raises(InputError, match=r"\.json or \.csv"):
        check_text_reports([tmp_path / "page.html"])
