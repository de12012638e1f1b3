"""Each rule of the paper's simulated interaction."""

from __future__ import annotations

import torch

from napari_sam.training.prompt_simulation import (
    BOX_NOISE_LIMIT,
    Chance,
    PromptState,
    plan_rounds,
    sample_point,
    tight_boxes,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chance(seed: int = 0) -> Chance:
    return Chance(generator=generator(seed))


def state(img_size: int = 64, side: int = 16, n: int = 3, seed: int = 0) -> PromptState:
    target = torch.zeros(n, side, side)
    for i in range(n):
        target[i, 3 : 9 + i, 4:11] = 1
    return PromptState(target=target, img_size=img_size, chance=chance(seed))


def test_eleven_rounds_are_one_first_eight_points_and_two_without():
    places = set()
    for seed in range(40):
        kinds = [r.kind for r in plan_rounds(11, generator(seed))]
        assert kinds[0] == "first"
        assert kinds[-1] == "none"
        assert kinds.count("point") == 8
        assert kinds.count("none") == 2
        places.add(kinds.index("none"))
    assert places == set(range(1, 10))  # anywhere between the first and the last round


def test_short_plans_start_with_a_prompt():
    assert [r.kind for r in plan_rounds(1, generator())] == ["first"]
    assert [r.kind for r in plan_rounds(2, generator())] == ["first", "point"]


def test_points_are_drawn_evenly_from_the_region():
    region = torch.zeros(1, 4, 4, dtype=torch.bool)
    region[0, 1, 1:3] = True
    g = generator()
    drawn = [tuple(sample_point(region, Chance(generator=g))[0][0].tolist()) for _ in range(300)]
    assert set(drawn) == {(1.0, 1.0), (2.0, 1.0)}
    assert 100 < drawn.count((1.0, 1.0)) < 200
    _, found = sample_point(torch.zeros(1, 4, 4, dtype=torch.bool), Chance(generator=g))
    assert not found.any()


def test_first_point_is_inside_the_object_in_model_pixels():
    s = state()
    for _ in range(20):
        s.coords.clear()
        s.labels.clear()
        s.add_first(box=False)
        x, y = s.coords[0].unbind(1)
        assert ((x >= 4 * 4 - 0.5) & (x < 11 * 4 - 0.5)).all()
        assert ((y >= 3 * 4 - 0.5) & (y < 11 * 4 - 0.5)).all()
        assert (s.labels[0] == 1).all()


def test_first_box_is_noisy_by_a_tenth_of_its_side_and_at_most_twenty_pixels():
    exact = tight_boxes(state().truth) * 4
    offsets = []
    for seed in range(200):
        s = state(seed=seed)
        s.add_first(box=True)
        assert s.boxes is not None
        offsets.append(s.boxes - exact)
    spread = torch.stack(offsets)[:, 0, 0].std()  # sides of 28 pixels
    assert 2.3 < spread < 3.3
    large = PromptState(target=torch.ones(50, 4, 4), img_size=4096, chance=chance())
    large.add_first(box=True)
    assert large.boxes is not None
    assert (large.boxes[:, 2:] - 4096).abs().max() <= BOX_NOISE_LIMIT


def test_corrections_lie_in_the_error_and_say_which_kind():
    s = state(n=1)
    logits = -torch.ones(1, 1, 16, 16)
    s.feed_back(logits, torch.zeros(1, 1))
    s.add_correction()  # nothing found yet: a false negative
    assert s.labels[-1].tolist() == [1]
    spill = torch.where(s.target > 0.5, 5.0, -5.0)[:, None]
    spill[0, 0, 14, 13] = 5.0
    s.feed_back(spill, torch.zeros(1, 1))
    s.add_correction()  # only one wrong pixel: a false positive
    assert s.labels[-1].tolist() == [0]
    assert ((s.coords[-1][0] + 0.5) / 4).floor().tolist() == [13.0, 14.0]


def test_a_perfect_mask_gets_another_positive_point():
    s = state(n=1)
    s.feed_back(torch.where(s.target > 0.5, 5.0, -5.0)[:, None], torch.zeros(1, 1))
    s.add_correction()
    assert s.labels[-1].tolist() == [1]


def test_the_mask_of_the_highest_predicted_iou_is_fed_back():
    s = state(n=2)
    logits = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 16, 16)
    s.feed_back(logits, torch.tensor([[0.1, 0.9, 0.2], [0.5, 0.1, 0.3]]))
    assert s.logits is not None
    assert s.logits[:, 0, 0, 0].tolist() == [1.0, 3.0]
    assert s.prompts()["masks"] is s.logits


def test_deep_points_lie_in_the_inner_part():
    region = torch.zeros(1, 40, 40, dtype=torch.bool)
    region[:, 8:32, 8:32] = True
    chance = Chance(generator=torch.Generator().manual_seed(0))
    even = torch.cat([sample_point(region, chance)[0] for _ in range(200)])
    deep = torch.cat([sample_point(region, chance, deep=1.0)[0] for _ in range(200)])
    away = [(xy - 19.5).abs().amax(1) for xy in (even, deep)]
    assert float(away[1].max()) < float(away[0].max())
    assert float(away[1].mean()) < 0.7 * float(away[0].mean())
    assert region[0, deep[:, 1].long(), deep[:, 0].long()].all()
