import pytest
import torch

from spm.base.errors import UserError
from spm.learn import weights


def test_weights_are_read_as_written(tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(path, {"a": torch.arange(6.0).view(2, 3).T}, {"k": 1})
    tensors, about = weights.load(path)
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3).T)
    assert about == {"k": 1}


@pytest.mark.parametrize("part", [slice(-4), slice(20), slice(0)])
def test_an_incomplete_file_is_named_with_the_remedy(tmp_path, part):
    path = tmp_path / "w.safetensors"
    weights.save(path, {"a": torch.ones(3)}, {})
    path.write_bytes(path.read_bytes()[part])
    message = r"no complete weights at .*w\.safetensors.*delete both files and run again"
    with pytest.raises(UserError, match=message):
        weights.load(path)


def test_weights_of_another_json_file_are_refused(tmp_path):
    path, other = tmp_path / "w.safetensors", tmp_path / "other.safetensors"
    for file, value in ((path, 1.0), (other, 2.0)):
        weights.save(file, {"a": torch.full((3,), value)}, {"k": 1})
    path.write_bytes(other.read_bytes())  # as after a kill between the two files, or a flipped bit
    with pytest.raises(UserError, match=r"w\.safetensors does not belong to w\.json"):
        weights.load(path)
