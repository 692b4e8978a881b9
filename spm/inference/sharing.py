"""Networks and data sets on a hub: written to it with their cards, and read from it.

On the command line: spm push, spm pull
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from spm.base.errors import UserError
from spm.inference import hub

CARD = "README.md"
CROISSANT = "croissant.json"
SCORES_KEY = "scores"  # in the metadata of the safetensors file, as JSON
FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
# Tables with pictures or sound of the videos, which are seldom free to share.
MEDIA = ("corpus/clips/*", "fusion/mosaics/*/clips/*")
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN; HF_ENDPOINT names another hub"


def push_network(run: Path, name: str, *, private: bool = False) -> str:
    """Write a trained network to a repository of the hub.

    The safetensors file gets its settings and the scores of its card as metadata, so that the file
    alone says how good it is.

    Parameters
    ----------
    run : Path
        Folder of a run: network.safetensors and network.json, and README.md, its card.
    name : str
        OWNER/NAME; made if it is missing.
    private : bool
        Whether a new repository can be seen by its owner only.

    Returns
    -------
    Address of the new version.

    Raises
    ------
    UserError
        If a file is missing, or the hub refuses.
    """
    from safetensors.torch import save

    from spm.learn import weights

    card = _card(run / CARD)
    tensors, about = weights.load(run / "network.safetensors")
    front_matter = _front_matter(card)
    metadata = {
        "format": "pt",
        "settings": json.dumps(about.get("config", {}), sort_keys=True),
        SCORES_KEY: json.dumps(front_matter.get("model-index", [])),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights.write(folder / "network.safetensors", save(tensors, metadata), about)
        (folder / CARD).write_text(card, encoding="utf-8")
        return _upload(folder, name, "model", private)


def push_data(results: Path, name: str, *, private: bool = False, with_clips: bool = False) -> str:
    """Write the tables of a project to a data set of the hub.

    Parameters
    ----------
    results : Path
        Folder of the results, with README.md, its card.
    name : str
        OWNER/NAME; made if it is missing.
    private : bool
        Whether a new repository can be seen by its owner only.
    with_clips : bool
        Whether the tables with pictures and sound are written too.

    Returns
    -------
    Address of the new version.

    Raises
    ------
    UserError
        If there is no card, or the hub refuses.
    """
    card = _card(results / CARD)
    about = _front_matter(card)
    configs = list(_shared_configs(results, about.get("configs", []), with_clips))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in _files(results, [config["data_files"] for config in configs], with_clips):
            copy = folder / path.relative_to(results)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path.absolute())
        if (results / CROISSANT).is_file():
            shutil.copy2(results / CROISSANT, folder)
        text = yaml.safe_dump({**about, "configs": configs}, sort_keys=False, allow_unicode=True)
        body = FRONT_MATTER.sub("", card)
        (folder / CARD).write_text(f"---\n{text}---\n{body}", encoding="utf-8")
        return _upload(folder, name, "dataset", private)


def _shared_configs(
    results: Path, configs: Sequence[Mapping[str, str]], with_clips: bool
) -> Iterator[Mapping[str, str]]:
    """The tables of the card that have a file to share."""
    for config in configs:
        if any(_files(results, [config["data_files"]], with_clips)):
            yield config


def _files(results: Path, patterns: Sequence[str], with_clips: bool) -> list[Path]:
    """The files of some tables, sorted, without those that are not to be shared."""
    found: set[Path] = set()
    for pattern in patterns:
        found |= set(results.glob(pattern))
    hidden: set[Path] = set()
    for pattern in () if with_clips else MEDIA:
        hidden |= set(results.glob(pattern))
    return sorted(found - hidden)


def _card(path: Path) -> str:
    if not path.is_file():
        raise UserError(
            f"{path}: no such file: run the workflow to its end, which writes the cards, or name"
            " the folder of a run (results/fusion/train/RUN) or the results"
        )
    return path.read_text(encoding="utf-8")


def _front_matter(card: str) -> dict[str, Any]:
    found = FRONT_MATTER.match(card)
    content: dict[str, Any] = yaml.safe_load(found[1]) if found else {}
    return content


def _upload(folder: Path, name: str, kind: str, private: bool) -> str:
    """Write a folder to a repository; the address of the commit."""
    with hub.one_line_errors(name, LOG_IN):
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        info = api.upload_folder(
            repo_id=name, folder_path=folder, repo_type=kind, commit_message="Written by spm"
        )
        return str(info.commit_url)


def pull(name: str, out: Path, *, data: bool = False) -> list[Path]:
    """Read a network or a data set from the hub into a folder.

    Parameters
    ----------
    name : str
        OWNER/NAME or OWNER/NAME@REVISION.
    out : Path
        Folder of the files; made if it is missing.
    data : bool
        Whether it is a data set.

    Returns
    -------
    The files, sorted.

    Raises
    ------
    UserError
        If the hub doesn't have it, or the weights don't belong to their JSON file.
    """
    repository, _, revision = name.partition("@")
    patterns = ["*.parquet", "*.json", "*.md"] if data else [*hub.FILES, CARD]
    with hub.one_line_errors(name, f"is there such a repository? If it is private, {LOG_IN}"):
        from huggingface_hub import snapshot_download

        snapshot_download(
            repository,
            repo_type="dataset" if data else "model",
            revision=revision or None,
            local_dir=out,
            allow_patterns=patterns,
        )
    shutil.rmtree(out / ".cache", ignore_errors=True)  # of the client
    if not data:
        from spm.learn import weights

        weights.load(out / "network.safetensors")
    return sorted(path for path in out.rglob("*") if path.is_file())
