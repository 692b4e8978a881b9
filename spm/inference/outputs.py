"""Files of `spm localize` in its folder: their names, and that they replace nothing else.

The JSON file of a video has the digests of its other files and of the video. A file is replaced
only if it is as the JSON file says: written by `spm localize`, and for the same video.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unicodedata import normalize

from spm.base import json_file
from spm.base.errors import UserError
from spm.base.file_digest import file_digest

SUFFIXES = ("mp4", "png", "parquet", "json")
ELSEWHERE = "name another folder with --out"
SCRATCH = ".spm-localize-"


def unique_names(candidates: Sequence[tuple[str, str]]) -> list[str]:
    """A different name for the results of each video.

    Unlike `spm.corpus.ids.unique_ids`, this keeps every character, spaces too: names of results
    don't have to be legal ids. Names that differ only by case count as equal, as some file systems
    take them for the same.

    Parameters
    ----------
    candidates : sequence of tuple
        For each video its name, and a longer one for the case that others have the same.

    >>> unique_names([("x", "a-x"), ("X", "b-X"), ("y", "a-y"), ("x", "a-x")])
    ['a-x', 'b-X', 'y', 'a-x-2']
    """
    counts = Counter(_folded(name) for name, _ in candidates)
    taken: set[str] = set()
    names = []
    for name, longer in candidates:
        wanted = name if counts[_folded(name)] == 1 else longer
        names.append(next(each for each in _numbered(wanted) if _folded(each) not in taken))
        taken.add(_folded(names[-1]))
    return names


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold()


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in range(2, 1_000_000))


class Outputs:
    """The files of one video.

    Parameters
    ----------
    folder : Path
        The folder of results.
    name : str
        Of the files, without their suffixes.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.files = {suffix: folder / f"{name}.{suffix}" for suffix in SUFFIXES}

    def check(self, source: str, videos: Iterable[Path] = ()) -> None:
        """Raise an error where a file would be replaced that is not an earlier result.

        Parameters
        ----------
        source : str
            The video whose results these are: its digest, or its address.
        videos : iterable of Path
            The videos that are localized, none of which is replaced.

        Raises
        ------
        UserError
            One line that names the file.
        """
        if os.path.lexists(self.folder) and not self.folder.is_dir():
            raise UserError(f"{self.folder} is not a folder: {ELSEWHERE}")
        present = [path for path in self.files.values() if os.path.lexists(path)]
        for path, video in ((path, video) for path in present for video in videos):
            if path.exists() and video.exists() and path.samefile(video):
                raise UserError(f"{video}: the results would replace this file: {ELSEWHERE}")
        if not present:
            return
        known = self._read()
        for path in present:
            if path.is_symlink() or file_digest(path) not in known["digests"].get(path.name, []):
                raise UserError(
                    f"{path}: spm localize has not written this file, or it was changed: move it,"
                    f" or {ELSEWHERE}"
                )
        if known["source"] != source:
            raise UserError(f"{self.files['json']} is of another video: {ELSEWHERE}")

    def _read(self) -> dict[str, Any]:
        """The source of the present files, and digests of each file; none where it has no JSON."""
        path = self.files["json"]
        try:
            content = json_file.read(path)
            digests: dict[str, list[str]] = {path.name: [file_digest(path)]}
            for files in (content["files"], content.get("replaced", {})):
                for name, digest in files.items():
                    digests.setdefault(name, []).append(digest)
            return {"source": content["source"], "digests": digests}
        except (UserError, OSError, LookupError, AttributeError):
            return {"source": "", "digests": {}}

    @contextmanager
    def written(self, source: str) -> Iterator[dict[str, Path]]:
        """Give temporary paths to write to; when all is written, the files get their names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        prefix = f"{SCRATCH}{hashlib.sha256(self.name.encode(errors='replace')).hexdigest()[:16]}-"
        for leftover in self.folder.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with TemporaryDirectory(prefix=prefix, dir=self.folder) as scratch:
            parts = {suffix: Path(scratch, path.name) for suffix, path in self.files.items()}
            yield parts
            self.check(source)
            self._commit(source, parts)

    def _commit(self, source: str, parts: dict[str, Path]) -> None:
        """Move the files. If the process is killed meanwhile, the JSON file knows old and new."""
        earlier = self._read()["digests"]
        about = json.loads(parts["json"].read_text(encoding="utf-8")) | {"source": source}
        media = {part.name: file_digest(part) for suffix, part in parts.items() if suffix != "json"}
        replaced = {name: earlier[name][0] for name in media if name in earlier}
        self._write_json(parts["json"], about | {"files": media, "replaced": replaced})
        for suffix in SUFFIXES[:-1]:
            parts[suffix].replace(self.files[suffix])
        self._write_json(parts["json"], about | {"files": media})

    def _write_json(self, part: Path, content: dict[str, Any]) -> None:
        signed = content | {json_file.DIGEST: json_file.content_digest(content)}
        text = json.dumps(signed, indent=1, ensure_ascii=False)
        part.write_text(f"{text}\n", encoding="utf-8")
        part.replace(self.files["json"])
