import pytest
import torch

from spm.audio.moments import merge, moments


def values(count: int) -> torch.Tensor:
    return 30 * torch.randn(count, 5, generator=torch.Generator().manual_seed(0)) - 40


def test_a_single_part_has_the_bits_of_torch():
    _, mean, std = merge([moments(values(1000))])
    assert torch.equal(mean, values(1000).mean(0))
    assert torch.equal(std, values(1000).std(0))


@pytest.mark.parametrize("rows", [2, 3, 250, 999])
def test_parts_have_the_moments_of_the_whole(rows):
    parts = [part for part in values(1000).split(rows) if len(part) > 1]
    count, mean, std = merge(map(moments, parts))
    whole = values(1000)[:count]
    assert count == sum(map(len, parts))
    torch.testing.assert_close(mean, whole.mean(0))
    torch.testing.assert_close(std, whole.std(0))


def test_a_constant_column_has_the_deviation_zero():
    parts = torch.full((10, 1), -80.0), torch.full((3, 1), -80.0)
    count, mean, std = merge(map(moments, parts))
    assert (count, mean.item(), std.item()) == (13, -80, 0)
