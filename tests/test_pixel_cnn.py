"""The prior over grids of indices: causality, and samples with the right probabilities."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aevae.models.pixel_cnn import Causal, PixelCNN, inverse_cdf


def net(side=7, codes=8, features=12, layers=2):
    torch.manual_seed(0)
    made = PixelCNN(side, codes, features, layers)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return made.requires_grad_(False)


def numbers(*shape, codes=8):
    return torch.randint(codes, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("own", "size"), [(False, 7), (False, 3), (True, 3)])
def test_a_causal_layer_sees_what_is_before(own, size):
    layer = Causal(1, 1, size, own)
    torch.nn.init.constant_(layer.weight, 1.0)
    for at in range(49):
        h = torch.zeros(1, 1, 7, 7)
        h.view(-1)[at] = 1
        reached = (layer(h) - layer.bias).abs().flatten() > 0.5
        i, j = divmod(at, 7)
        expected = [
            (r - i in range(1, layer.reach + 1) and abs(c - j) <= layer.reach)
            or (r == i and (0 if own else 1) <= c - j <= layer.reach)
            for r in range(7)
            for c in range(7)
        ]
        assert reached.tolist() == expected


def test_a_changed_cell_changes_no_cell_before_it_and_not_itself():
    pixel, k = net(), numbers(1, 7, 7)
    before = pixel(k).flatten(2)
    for at in (0, 10, 24, 48):
        other = k.clone()
        other.view(-1)[at] = (other.view(-1)[at] + 1) % 8
        after = pixel(other).flatten(2)
        assert torch.equal(after[..., : at + 1], before[..., : at + 1])
        if at < 48:
            assert not torch.equal(after[..., at + 1], before[..., at + 1])


def test_it_learns_a_rule_of_maps():
    """Each cell is the one to its left plus one: after the first of a row nothing is left to tell."""
    torch.manual_seed(0)
    pixel = PixelCNN(4, 3, 16, 1)
    adam = torch.optim.Adam(pixel.parameters(), 0.02)
    draw = torch.Generator().manual_seed(0)
    for _ in range(120):
        k = (torch.randint(3, (64, 4, 1), generator=draw) + torch.arange(4)) % 3
        loss = pixel.nll(k).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    bound = 4 * torch.tensor(3.0).log()
    assert bound - 0.5 < loss < bound + 0.2
    drawn = pixel.sample_indices(torch.rand(50, 4, 4, generator=draw))
    follows = drawn[:, :, 1:] == (drawn[:, :, :-1] + 1) % 3
    assert follows.float().mean() > 0.98
    assert drawn[:, :, 0].unique().numel() == 3


@pytest.mark.parametrize(("u", "expected"), [(0.0, 0), (0.19, 0), (0.21, 1), (0.49, 1), (0.51, 2), (1.0, 2)])
def test_inverse_cdf(u, expected):
    logits = torch.tensor([[0.2, 0.3, 0.5]]).log()
    assert inverse_cdf(logits, torch.tensor([u])).item() == expected


def test_inverse_cdf_never_takes_what_has_no_probability():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0]])
    assert [inverse_cdf(logits, torch.tensor([u])).item() for u in (0.0, 0.4, 0.6, 0.999)] == [1, 1, 3, 3]


def test_draws_are_fixed_by_their_numbers_and_each_by_its_own():
    pixel, u = net(), torch.rand(5, 7, 7, generator=torch.Generator().manual_seed(0))
    drawn = pixel.sample_indices(u)
    assert torch.equal(drawn, pixel.sample_indices(u))
    assert torch.equal(drawn[2:3], pixel.sample_indices(u[2:3]))
    assert drawn.unique(dim=0).shape[0] == 5


@pytest.mark.slow
def test_a_draw_looks_at_each_place_and_not_at_the_whole_map_each_time():
    pixel, u = PixelCNN(14, 128, 32, 3), torch.rand(16, 14, 14)
    with FlopCounterMode(display=False) as drawing:
        indices = pixel.sample_indices(u)
    with FlopCounterMode(display=False) as looking:
        pixel.nll(indices)
    assert 0 < drawing.get_total_flops() < 14 * 14 / 5 * looking.get_total_flops()
