"""Plugins of yt-dlp: only those in the folders of `fetch.plugins` are loaded."""

from collections.abc import Sequence
from pathlib import Path

from yt_dlp.globals import all_plugins_loaded, plugin_dirs
from yt_dlp.plugins import load_all_plugins

from spm.base.errors import UserError


def load(folders: Sequence[str]) -> None:
    """Load the plugins in some folders, once.

    By itself, yt-dlp also runs those that it finds in the user's home and in the Python path.

    Raises
    ------
    UserError
        When there is no such folder.
    """
    if all_plugins_loaded.value and plugin_dirs.value == list(folders):
        return
    for folder in folders:
        if not Path(folder).is_dir():
            raise UserError(f"fetch.plugins: there is no folder {folder}")
    plugin_dirs.value = list(folders)
    load_all_plugins()
