"""Finished results of the long stages, kept so that they come back when a setting is put back.

Snakemake deletes the outputs of a job before it runs the job again. When the job fails, or when the
setting is changed back, the earlier network would have to be trained again. Therefore each of these
stages keeps a copy of its outputs, in a folder named by the digest of all that they depend on.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from spm.base import json_file
from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.files import atomic_write
from spm.base.versions import version_string
from spm.learn import distributed

DIGESTS = "sha256.json"
PACKAGES = ("torch", "torchvision", "torchaudio", "numpy", "pyarrow", "scikit-learn")
NUMBER = 3  # results of one network that are kept: the default of `state.finished`


def work_digest(files: Iterable[Path], *texts: str) -> str:
    """Digest of the content of files, of texts, and of the versions of the packages that compute.

    Parameters
    ----------
    files : iterable of Path
        What a stage reads. Their names count, but not their folders.
    *texts : str
        Settings and digests of code.
    """
    paths = sorted(set(files))
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(file_digest, paths))
    lines = [f"{path.name} {digest}" for path, digest in zip(paths, digests, strict=True)]
    whole = "\0".join([version_string(PACKAGES), *texts, *lines])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Finished:
    """The outputs of one job, and the folder with those of its earlier runs.

    Parameters
    ----------
    folder : Path, optional
        The folder of the job, such as state/finished/train/spm; None: nothing is kept.
    number : int
        Number of results that are kept in the folder; 0: none.
    key : str
        The `work_digest` of the job.
    outputs : sequence of Path
        All files that the job writes; their names differ.
    """

    folder: Path | None
    number: int
    key: str
    outputs: Sequence[Path]

    def restore(self) -> bool:
        """Copy the results of an earlier run to the outputs; whether there are any.

        They may be those of a run with another name: all folders beside `folder` are searched. Of
        several processes of a training, the first one copies.
        """
        found = distributed.is_main_process() and self._copy_back()
        return distributed.from_main_process(found)

    def _copy_back(self) -> bool:
        if self.folder is None or not self.number:
            return False
        for place in sorted(self.folder.parent.glob(f"*/{self.key}")):
            contents = _read(place, [output.name for output in self.outputs])
            if contents is not None:
                for output, content in zip(self.outputs, contents, strict=True):
                    with atomic_write(output) as part:
                        part.write_bytes(content)
                os.utime(place)
                print(f"taken from {place}: nothing that it depends on differs", file=sys.stderr)
                return True
        return False

    def keep(self) -> None:
        """Copy the outputs to the folder, and delete all but the last results there."""
        if self.folder is None or not self.number:
            return
        place, part = self.folder / self.key, self.folder / f"{self.key}.{token_hex(4)}.part"
        part.mkdir(parents=True)
        for output in self.outputs:
            shutil.copyfile(output, part / output.name)
        digests = {output.name: file_digest(part / output.name) for output in self.outputs}
        json_file.write(part / DIGESTS, digests)
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)
        keep_newest(self.folder, self.number)


def _read(place: Path, names: Sequence[str]) -> list[bytes] | None:
    """Contents of the kept files; None if one of them is missing or damaged."""
    try:
        digests = json_file.read(place / DIGESTS)
        contents = [(place / name).read_bytes() for name in names]
    except (UserError, OSError):
        return None
    for name, content in zip(names, contents, strict=True):
        if digests.get(name) != hashlib.sha256(content).hexdigest():
            return None
    return contents


def keep_newest(folder: Path, number: int) -> None:
    """Delete the folders in a folder, except those that were used last."""
    if not folder.is_dir():
        return
    places = [place for place in folder.iterdir() if place.is_dir()]
    places.sort(key=lambda place: place.stat().st_mtime_ns, reverse=True)
    for place in places[number:]:
        shutil.rmtree(place, ignore_errors=True)
