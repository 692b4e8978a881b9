"""Passwords in addresses are not shown, wherever a message comes from."""

import pytest

from spm.base.errors import UserError
from spm.base.masking import mask_passwords
from spm.base.printable import printable
from spm.boxes.download import DownloadError
from spm.boxes.statuses import ImageStatus

ADDRESS = "http://me:secret@example.org:81/a"


@pytest.mark.parametrize(
    "show",
    [
        mask_passwords,
        printable,
        UserError,
        lambda text: DownloadError(ImageStatus.BAD, text).reason,
    ],
    ids=["mask", "printable", "UserError", "DownloadError"],
)
def test_a_message_has_asterisks_in_place_of_a_password(show):
    assert str(show(f"{ADDRESS}: no answer")) == "http://***@example.org:81/a: no answer"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("socks5://u:p@ss@h", "socks5://***@h"),
        ("a@b.example wrote to http://h/x@y", "a@b.example wrote to http://h/x@y"),
        ("https://h/?to=a@b", "https://h/?to=a@b"),
        ("https://token@h/a", "https://***@h/a"),
    ],
)
def test_only_the_login_of_an_address_is_masked(text, shown):
    assert mask_passwords(text) == shown
