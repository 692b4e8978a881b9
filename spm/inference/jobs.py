"""The videos of one call of `spm localize`: where they are, and where their results go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.masking import mask_passwords
from spm.inference import sources
from spm.inference.outputs import Outputs, unique_names


@dataclass
class VideoJob:
    """One video."""

    video: str  # as the user names it, without a password
    location: str  # address or path
    path: Path  # of its file, once that is there
    outputs: Outputs
    source: str = ""  # digest or address
    reason: str = ""  # why it can't be localized

    @property
    def is_remote(self) -> bool:
        """Whether it is downloaded first."""
        return sources.is_remote(self.location)

    def prepare(self, private_hosts: Sequence[str], memory_mb: int) -> float:
        """Download the video where needed, and read its header.

        Returns
        -------
        float
            Its length in s, as the file states it. If the video can't be used, it is 0, and
            `reason` says why.
        """
        try:
            if self.is_remote:
                folder = self.outputs.folder
                self.path = sources.download(self.location, folder, private_hosts)
            return sources.inspect(self.path, memory_mb).length_s or 0.0
        except UserError as error:
            self.reason = str(error)
            return 0.0


def plan(videos: Sequence[str], out: Path) -> list[VideoJob]:
    """The jobs of the videos, after a check that no file is replaced that is no earlier result.

    Raises
    ------
    UserError
        When an address is not valid, or a file would be replaced.
    """
    videos = list(dict.fromkeys(videos))
    locations = [sources.locate(video) for video in videos]
    names = unique_names([_names(location) for location in locations])
    jobs = []
    for video, location, name in zip(videos, locations, names, strict=True):
        path = Path(location if "://" in video else video)
        job = VideoJob(mask_passwords(video), location, path, Outputs(out, name))
        job.source = mask_passwords(location) if job.is_remote else _digest(job.path)
        jobs.append(job)
    files = [job.path for job in jobs if not job.is_remote]
    for job in jobs:
        job.outputs.check(job.source, files)
    return jobs


def _names(location: str) -> tuple[str, str]:
    """Candidates of the name of the results."""
    if sources.is_remote(location):
        name = sources.name_of(location)
        return name, name
    path = Path(location)
    return path.stem, f"{path.absolute().parent.name}-{path.stem}"


def _digest(path: Path) -> str:
    """The digest of a file; empty where it can't be read, which `prepare` reports."""
    try:
        return f"sha256:{file_digest(path)}" if path.is_file() else ""
    except OSError:
        return ""
