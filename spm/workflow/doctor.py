"""What the workflow will find on this machine: each thing looked for, what is there, and what to do where it is not.

On the command line: spm doctor
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import requests
import yaml

from spm.base import runs, validation
from spm.base.config import UserError
from spm.base.digest import ROOT
from spm.corpus.manifest import Video, address, is_remote, read
from spm.corpus.media import ffmpeg

LOOK_S = 20.0  # at a program that should answer at once
NETWORK_S = 5.0
# Rough: a video of three minutes at 360p in the store, and what its seconds take in the results at the paper's sizes.
STORE_MB, RESULTS_MB = 20, 40
LEAST_MB = 1000  # of a disk: under this nothing gets far
ENCODERS = {
    "libx264": "spm localize writes no video",
    "aac": "spm localize writes no video",
    "mjpeg": "no clips",
}
DECODERS = {
    "h264": "most videos",
    "aac": "most videos",
    "vp9": "some of YouTube's",
    "opus": "some of YouTube's",
}


class Finding(NamedTuple):
    """One thing that was looked for."""

    what: str
    state: Literal["ok", "warn", "fail"]  # warn: something does without it
    found: str
    advice: str = ""  # what to do; empty where nothing needs to be done


@dataclass(frozen=True)
class Project:
    """A config as the workflow would have it, and its videos."""

    folder: Path  # where the workflow would run
    config: Mapping[str, Any]
    manifest: Path
    videos: Sequence[Video]

    def places(self) -> list[str]:
        """Addresses and paths of the videos."""
        return [address(video, self.manifest) for video in self.videos if not video.flaw]

    def remote(self) -> list[str]:
        """Addresses only."""
        return [place for place in self.places() if is_remote(place)]


def machine() -> Iterator[Finding]:
    """Python, processors and memory."""
    version = ".".join(map(str, sys.version_info[:3]))
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = f"Python {version}, {os.cpu_count()} processors, {memory_gb:.0f} GB of memory"
    few = memory_gb < 4
    yield Finding(
        "machine", "warn" if few else "ok", found, "training wants 4 GB or more" if few else ""
    )


def media(binary: str) -> Iterator[Finding]:
    """Whether ffmpeg runs, and codes what is asked of it."""
    install = "name another in SPM_FFMPEG, or: pip install imageio-ffmpeg"
    try:
        version = _said(binary, "-version").split("\n")[0]
        has = {
            kind: _codecs(_said(binary, "-hide_banner", f"-{kind}"))
            for kind in ("encoders", "decoders")
        }
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("ffmpeg", "fail", f"{binary} does not run ({error})", install)
        return
    yield Finding(
        "ffmpeg",
        "ok",
        f"{version.removeprefix('ffmpeg version ').split(' Copyright')[0]}, {binary}",
    )
    for kind, wanted in (("encoders", ENCODERS), ("decoders", DECODERS)):
        lacking = [name for name in wanted if name not in has[kind]]
        without = "; ".join(f"without {name}: {wanted[name]}" for name in lacking)
        found = f"lacks {', '.join(lacking)}" if lacking else ", ".join(wanted)
        state: Literal["ok", "fail"] = "fail" if lacking else "ok"
        yield Finding(f"ffmpeg's {kind}", state, found, f"{without}; {install}" if lacking else "")


def _said(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=LOOK_S, check=True
    )
    return done.stdout


def _codecs(listing: str) -> set[str]:
    """Names in ffmpeg's list of encoders or decoders, each after six flags."""
    return set(re.findall(r"^ [A-Z.]{6} (\S+)", listing, re.MULTILINE))


def gpu() -> Iterator[Finding]:
    """Whether torch can use a GPU; where the machine has one that it can't, why that may be."""
    import torch  # takes a second or more: only here

    if torch.cuda.is_available():
        yield Finding("GPU", "ok", f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    elif shutil.which("nvidia-smi"):
        advice = "its driver is older than torch's CUDA: update it, or install a torch for it (pytorch.org)"
        yield Finding("GPU", "warn", f"one that torch {torch.__version__} can't use", advice)
    else:
        advice = "the demo and spm localize are quick without one; MUSIC at the paper's sizes takes weeks"
        yield Finding(
            "GPU", "warn", f"none, torch {torch.__version__} computes on the processors", advice
        )


def conda() -> Iterator[Finding]:
    """What --use-conda would call."""
    found = shutil.which("conda")
    advice = "needed by --use-conda only: without that flag everything runs in this environment"
    if not found:
        yield Finding("conda", "ok", "none", advice)
        return
    try:
        yield Finding("conda", "ok", f"{_said(found, '--version').strip()}, {found}")
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("conda", "warn", f"{found} does not run ({error})", advice)


def slurm(profile: Path) -> Iterator[Finding]:
    """Whether there is a cluster to submit to, and has the partitions that the profile names."""
    if not shutil.which("sbatch"):
        yield Finding(
            "SLURM", "ok", "none", "needed by --workflow-profile workflow/profiles/slurm only"
        )
        return
    try:
        partitions = set(_said("sinfo", "--noheader", "--format", "%R").split())
    except (OSError, subprocess.SubprocessError):
        advice = "ask on the cluster's login node; elsewhere run without the profile"
        yield Finding("SLURM", "warn", "sbatch is here, but no controller answers sinfo", advice)
        return
    wanted = set(
        re.findall(r"^ *slurm_partition: *(\S+)", profile.read_text(encoding="utf-8"), re.MULTILINE)
    )
    lacking, advice = (
        sorted(wanted - partitions),
        f"name yours in {profile}; docs/cluster.md goes through it",
    )
    found = f"partitions {', '.join(sorted(partitions))}" + (
        f", none named {', '.join(lacking)}" if lacking else ""
    )
    yield Finding("SLURM", "warn" if lacking else "ok", found, advice if lacking else "")


def javascript(project: Project) -> Iterator[Finding]:
    """What yt-dlp runs YouTube's scripts with."""
    youtube = sum("youtu" in place for place in project.remote())
    found = shutil.which("deno")  # yt-dlp looks for no other unless told
    if youtube and not found:
        advice = "yt-dlp gets few of them without: install deno (deno.com), or run with --use-conda, which has it"
        yield Finding("JavaScript", "warn", f"none, and {youtube} videos are YouTube's", advice)
    elif youtube:
        yield Finding("JavaScript", "ok", str(found))


def disks(project: Project) -> Iterator[Finding]:
    """Room and rights where media and results go."""
    store = Path(project.config["corpus"]["store"])
    yield _disk("store", project.folder / store, STORE_MB * len(project.remote()))
    yield _disk("results", project.folder / "results", RESULTS_MB * len(project.videos))


def _disk(what: str, folder: Path, wanted_mb: float) -> Finding:
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free_mb = shutil.disk_usage(there).free / 1e6
    found = f"{free_mb / 1000:.0f} GB free at {folder}, about {wanted_mb / 1000:.0f} GB wanted"
    advice = "put the folder on a larger disk (corpus.store, snakemake --directory), or make room"
    if not os.access(there, os.W_OK):
        return Finding(
            what,
            "fail",
            f"{there} can't be written",
            "a folder of one's own: corpus.store, --directory",
        )
    if free_mb < LEAST_MB:
        return Finding(what, "fail", found, advice)
    return (
        Finding(what, "warn", found, advice) if free_mb < wanted_mb else Finding(what, "ok", found)
    )


def addresses(project: Project) -> list[str]:
    """What the workflow would ask: sites of the videos, and of the weights and boxes that the config starts from."""
    sites = Counter("{0.scheme}://{0.netloc}".format(urlsplit(place)) for place in project.remote())
    config = project.config
    detects = "detector" in config["corpus"]["boxes"] and not config["detect"]["weights"]
    starts = {runs.run_config(config, run)["start"] for run in runs.run_names(config)}
    downloads = "imagenet" in starts or (
        detects and config["detector"]["start"] in ("coco", "imagenet")
    )
    from_web = (
        detects
        and config["detector"]["source"] == "openimages"
        and config["openimages"]["mirror"] is None
    )
    return [
        *(site for site, _ in sites.most_common(3)),
        *(["https://download.pytorch.org"] if downloads else []),
        *(["https://storage.googleapis.com"] if from_web else []),
    ]


def network(project: Project) -> Iterator[Finding]:
    """Whether each site answers; what it says is no matter."""
    sites = addresses(project)
    with ThreadPoolExecutor(max(1, len(sites))) as pool:
        yield from pool.map(_reached, sites)


def _reached(site: str) -> Finding:
    try:
        requests.head(site, timeout=NETWORK_S)
    except requests.RequestException as error:
        advice = "fetch where there is internet (snakemake all --until fetch), or set https_proxy"
        return Finding(
            "network", "warn", f"{site} does not answer ({type(error).__name__})", advice
        )
    return Finding("network", "ok", site)


def project_of(folder: Path, over: Sequence[Path]) -> Project:
    """The config of a checkout with files laid over it, checked as the workflow does, and its manifest.

    Raises
    ------
    UserError
        What the workflow would stop for.
    """
    config: Any = {}
    for file in (ROOT / "config.yaml", *over):
        try:
            config = _laid_over(config, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        except (OSError, yaml.YAMLError) as error:
            raise UserError(
                f"{file}: {' '.join(str(error).split())}: expected a config in YAML"
            ) from error
    config = validation.coerce_numbers(config)
    validation.validate(config, ROOT / "workflow/schemas/config.schema.json")
    listed = Path(config["corpus"]["manifest"])
    path = folder / listed if (folder / listed).exists() else ROOT / listed
    boxes = path.parent / (config["corpus"]["given_boxes"] or "boxes.csv")
    if "given" in config["corpus"]["boxes"] and not boxes.is_file():
        raise UserError(
            f"corpus.boxes: given, but there is no file {boxes}: write it, or say corpus.boxes: []"
        )
    return Project(folder, config, path, read(path))


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}


def findings(folder: Path, over: Sequence[Path] = (), *, online: bool = True) -> Iterator[Finding]:
    """All there is to find, the machine's first; what hangs on the config only where that is a legal one."""
    yield from machine()
    yield from media(ffmpeg.binary())
    for look in (gpu, conda, partial(slurm, ROOT / "workflow/profiles/slurm/profile.yaml")):
        yield from look()
    try:
        project = project_of(folder, over)
    except UserError as error:
        yield Finding("config", "fail", str(error), "mend it, or name another with --configfile")
        return
    yield Finding("config", "ok", f"{len(project.videos)} videos of {project.manifest}")
    for see in (javascript, disks, *([network] if online else [])):
        yield from see(project)
