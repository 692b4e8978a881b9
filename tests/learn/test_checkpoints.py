import torch
from torch import nn

from spm.base import schemas, tables
from spm.learn.checkpoints import Checkpoints, Progress, fingerprint


def test_the_fingerprint_depends_on_content_and_settings(tmp_path):
    table = tmp_path / "t.parquet"
    tables.write_rows(table, schemas.HISTORY, [{"epoch": 1, "value": 1.0}])
    first = fingerprint([table], "{}")
    assert fingerprint([table], "{}") == first
    assert fingerprint([table], '{"lr": 1}') != first
    tables.write_rows(table, schemas.HISTORY, [{"epoch": 1, "value": 2.0}])
    assert fingerprint([table], "{}") != first


def trained_convolution(steps: int) -> tuple[nn.Module, torch.optim.Adam]:
    """A convolution with its channels last, after some steps on the same picture."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.ones(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    return network, optimizer


def test_loaded_averages_have_the_memory_format_of_their_weights(tmp_path):
    """The kernel of a fused optimizer refuses others."""
    network, optimizer = trained_convolution(2)
    with Checkpoints(tmp_path, network, optimizer, None) as checkpoints:
        checkpoints.save(Progress(epoch=1))
    loaded, other = trained_convolution(0)
    with Checkpoints(tmp_path, loaded, other, None) as checkpoints:
        assert checkpoints.resume().epoch == 1
    for before, after in zip(network.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(before, after)
        for name, average in optimizer.state[before].items():
            assert torch.equal(average, other.state[after][name])
            assert average.stride() == other.state[after][name].stride()
    assert other.state[loaded.weight]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_tensors_that_change_after_saving_are_saved_as_they_were(tmp_path):
    network, optimizer = trained_convolution(1)
    before = network.weight.detach().clone()
    with Checkpoints(tmp_path, network, optimizer, None) as checkpoints:
        checkpoints.save(Progress(epoch=1))
        network.weight.data.zero_()
        checkpoints.wait()
        checkpoints.resume()
    assert torch.equal(network.weight, before)
