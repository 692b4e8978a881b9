import pytest
import torch

from spm.base.errors import UserError
from spm.learn.device import pick_device


def test_auto_is_the_gpu_if_there_is_one():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_an_error_with_the_remedy():
    with pytest.raises(UserError, match=r"device: 'cuda', but torch finds no GPU.*auto or cpu"):
        pick_device("cuda")
