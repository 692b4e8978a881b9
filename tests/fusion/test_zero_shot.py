import pytest
import torch

from spm.fusion.zero_shot import (
    FLOOR,
    HALF_HEARD,
    HALF_SEEN,
    UNKNOWN_SEEN,
    average_scales,
    blend,
    certainty_heard,
    certainty_seen,
    class_activations,
    class_evidence,
    half_size,
    hear_things,
    image_probabilities,
    object_prior,
    smooth,
    thing_maps,
    weighted_sum,
    window_means,
)
from spm.learn.sounding_things import Thing


def test_the_object_prior_is_the_l1_norm_of_each_position():
    features = torch.tensor([[1.0, -2.0], [0.0, 3.0]]).view(1, 2, 1, 2)  # (B, c, h, w)
    assert object_prior(features).tolist() == [[[1.0, 5.0]]]


def things(*rows: tuple[list[int], list[int], list[int]]) -> list[Thing]:
    """Things with these classes of AudioSet, parents and classes of ImageNet."""
    return [
        Thing(str(number), (), tuple(own), tuple(imagenet), tuple(parents))
        for number, (own, parents, imagenet) in enumerate(rows)
    ]


def test_a_thing_has_the_best_score_of_its_own_classes():
    thing_scores = hear_things(
        torch.tensor([[0.2, 0.6, 0.1]]), things(([0, 1], [], [7]), ([2], [], [8]))
    )
    assert thing_scores[0].tolist() == pytest.approx([0.6, 0.1])


def test_the_members_of_a_parent_share_its_score_in_proportion_to_their_own():
    guitar, harp, parent = 0.4, 0.04 - FLOOR, 0.8
    scores = torch.tensor([[guitar, harp, parent]])
    thing_scores = hear_things(scores, things(([0], [2], [7]), ([1], [2], [8])))[0]
    assert thing_scores[0] == pytest.approx(parent)
    assert thing_scores[1] == pytest.approx(parent * 0.04 / (guitar + FLOOR))


def test_a_thing_without_image_class_has_what_no_other_thing_explains():
    """Classes: violin, instrument, speech. An instrument that is no violin; a person."""
    rows = things(([0], [1], [7]), ([1], [], []), ([2], [], []))
    thing_scores = hear_things(torch.tensor([[0.7, 0.9, 0.3]]), rows)[0]
    assert thing_scores.tolist() == pytest.approx([0.9, 0.2, 0.3])


def test_scores_are_averaged_over_neighboring_seconds_of_the_same_video_only():
    scores = torch.tensor([[0.0], [1.0], [0.0], [1.0], [1.0]])
    videos, starts_s = ["a", "a", "b", "b", "b"], [0.0, 1.0, 0.0, 1.0, 9.0]
    smoothed = smooth(scores, videos, starts_s, 1.0)
    assert smoothed[:, 0].tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert smooth(scores, videos, starts_s, 0.0).tolist() == scores.tolist()


def test_the_order_of_the_clips_does_not_matter_for_smoothing():
    generator = torch.Generator().manual_seed(0)
    scores, order = torch.rand(6, 3, generator=generator), torch.tensor([3, 0, 5, 1, 4, 2])
    videos, starts_s = ["a"] * 4 + ["b"] * 2, [0.0, 1.0, 2.0, 5.0, 0.0, 1.0]
    shuffled = smooth(scores[order], [videos[n] for n in order], [starts_s[n] for n in order], 1.0)
    assert torch.allclose(shuffled, smooth(scores, videos, starts_s, 1.0)[order])


def test_evidence_is_the_best_linked_score_times_the_probability():
    links = torch.tensor([[True, False, False], [True, True, False], [False, False, False]])
    thing_scores, probabilities = torch.tensor([[0.2, 0.6, 0.9]]), torch.tensor([[0.1, 0.3, 0.6]])
    evidence = class_evidence(thing_scores, probabilities, links)
    assert evidence[0].tolist() == pytest.approx([0.1 * (0.6 + FLOOR), 0.3 * (0.6 + FLOOR), 0])


def test_where_nothing_is_heard_the_image_decides():
    probabilities = torch.tensor([[0.25, 0.75]])
    evidence = class_evidence(torch.zeros(1, 2), probabilities, torch.eye(2, dtype=torch.bool))
    assert evidence[0].tolist() == pytest.approx([0.25 * FLOOR, 0.75 * FLOOR])


def test_the_map_follows_the_class_that_has_the_evidence():
    features = torch.eye(2).view(1, 2, 1, 2)  # each channel is active at its own position
    activations = class_activations(features, torch.tensor([[1.0, -1.0], [-1.0, 1.0], [5.0, 5.0]]))
    evidence = torch.tensor([[0.2, 0.0, 0.0]])
    assert weighted_sum(activations, evidence)[0, 0].tolist() == pytest.approx([0.2, 0])
    assert weighted_sum(activations, evidence.flip(1)).sum() == pytest.approx(2)


def test_without_evidence_the_map_is_cold():
    activations = class_activations(torch.rand(1, 4, 2, 2), torch.rand(5, 4))
    assert not weighted_sum(activations, torch.zeros(1, 5)).any()


def test_the_map_of_a_thing_adds_up_its_image_classes_by_their_probability():
    activations = torch.tensor([[4.0, 0.0], [0.0, 8.0], [2.0, 2.0]]).view(1, 3, 1, 2)
    links = torch.tensor([[True, True, False], [False, False, False]])
    maps = thing_maps(activations, torch.tensor([[0.5, 0.125, 0.3]]), links)[0]
    assert maps[:, 0].tolist() == [[2.0, 1.0], [0.0, 0.0]]


def test_a_thing_is_seen_as_its_classes_are_and_by_one_half_if_it_has_none():
    links = torch.tensor([[True, True, False], [False, False, True], [False, False, False]])
    probabilities = torch.tensor([[HALF_SEEN / 2, HALF_SEEN / 2, 0.0]])
    assert certainty_seen(probabilities, links)[0].tolist() == pytest.approx([0.5, 0, UNKNOWN_SEEN])


def test_a_thing_is_heard_less_next_to_noise():
    thing_scores, noise = torch.tensor([[HALF_HEARD, 0.9]]), torch.tensor([[0.0]])
    assert certainty_heard(thing_scores, noise)[0].tolist() == pytest.approx([0.5, 0.9])
    assert certainty_heard(thing_scores, noise + 0.8)[0].tolist() == pytest.approx([0.1, 0.5])


def test_the_whole_image_and_its_parts_count_one_half_each():
    whole = torch.tensor([[0.5, 0.5]]).log()
    parts = torch.tensor([[[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]]]).log()
    assert image_probabilities(whole, parts)[0].tolist() == pytest.approx([0.45, 0.55])


def test_windows_cover_the_whole_map_and_have_a_quarter_of_its_area():
    for size in (4, 7, 14):
        cells = torch.eye(size * size).view(1, size * size, size, size)  # a channel per cell
        means = window_means(cells)[0]  # (9, cells)
        assert means.shape == (9, size * size)
        assert (means > 0).any(0).all()
        assert (means > 0).sum(1).unique().tolist() == [(size // 2) ** 2]


def test_half_size_averages_four_pixels():
    frames = torch.arange(16.0).view(1, 1, 4, 4)
    assert half_size(frames)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_scales_count_the_same_whatever_their_maxima():
    small = torch.tensor([[[0.0, 200.0], [0.0, 0.0]]])
    large = torch.zeros(1, 4, 4)
    large[0, 0, 3], large[0, 3, 0] = 3.0, 3.0
    heat = average_scales([small, large])[0]
    assert heat.shape == (4, 4)
    assert heat.max() == heat[0, 3] == 1
    assert heat[3, 0] == pytest.approx(0.5)


def test_scales_of_maps_of_things_are_averaged_thing_by_thing():
    generator = torch.Generator().manual_seed(0)
    small, large = torch.rand(2, 3, 2, 2, generator=generator), torch.rand(2, 3, 4, 4)
    heat = average_scales([small, large])
    assert heat.shape == (2, 3, 4, 4)
    for thing in range(3):
        assert torch.allclose(heat[:, thing], average_scales([small[:, thing], large[:, thing]]))


def test_the_object_prior_replaces_the_activation_where_there_is_no_evidence():
    activation, prior = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.0, 5.0]]])
    expected = {0.0: [0, 1], 0.01: [0.5, 0.5], 0.99: [0.99, 0.01]}
    for evidence, heat in expected.items():
        blended = blend(activation, prior, torch.tensor([[evidence, 0.0]]), doubt=0.01)
        assert blended[0, 0].tolist() == pytest.approx(heat)


def test_a_cold_activation_gives_numbers():
    heat = blend(torch.zeros(1, 2, 2), torch.ones(1, 2, 2), torch.zeros(1, 3))
    assert heat.tolist() == torch.ones(1, 2, 2).tolist()
