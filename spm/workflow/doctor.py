"""Checks of this machine before the workflow runs: each with its result and, where needed, advice.

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
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from spm.base import runs
from spm.base.errors import UserError
from spm.base.project_files import PROFILE
from spm.corpus.media import ffmpeg
from spm.workflow.preflight import Severity
from spm.workflow.project import Project, load_project

PROGRAM_TIMEOUT_S = 20.0
NETWORK_TIMEOUT_S = 5.0
# Estimates per video of three minutes: in the store at 360p, in the results at the paper's sizes.
STORE_MB, RESULTS_MB = 20, 40
MIN_FREE_MB = 1000  # with less, even a small project fails
MIN_MEMORY_GB = 4
# Codecs that ffmpeg needs: what does not work without them.
ENCODERS = {
    "libx264": "spm localize writes no video",
    "aac": "spm localize writes no video",
    "mjpeg": "the workflow cuts no clips",
}
DECODERS = {
    "h264": "most videos can't be read",
    "aac": "most videos can't be read",
    "vp9": "some videos of YouTube can't be read",
    "opus": "some videos of YouTube can't be read",
}
INSTALL_FFMPEG = "set SPM_FFMPEG to another ffmpeg, or: pip install imageio-ffmpeg"


class State(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    WARN = "warn"  # the workflow runs, but something that it may need is missing
    FAIL = "fail"  # the workflow can't run


class Finding(NamedTuple):
    """Result of one check."""

    subject: str
    state: State
    result: str
    advice: str = ""  # empty where nothing needs to be done


def _output_of(*command: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PROGRAM_TIMEOUT_S,
        check=True,
    )
    return done.stdout


def machine() -> Iterator[Finding]:
    """Check Python, processors and memory."""
    version = ".".join(map(str, sys.version_info[:3]))
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    result = f"Python {version}, {os.cpu_count()} processors, {memory_gb:.0f} GB of memory"
    if memory_gb < MIN_MEMORY_GB:
        advice = f"training needs {MIN_MEMORY_GB} GB of memory or more"
        yield Finding("machine", State.WARN, result, advice)
    else:
        yield Finding("machine", State.OK, result)


def media(binary: str) -> Iterator[Finding]:
    """Check that ffmpeg runs and has the encoders and decoders that are needed."""
    try:
        version = _output_of(binary, "-version").split("\n")[0]
        encoders = _codecs(_output_of(binary, "-hide_banner", "-encoders"))
        decoders = _codecs(_output_of(binary, "-hide_banner", "-decoders"))
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("ffmpeg", State.FAIL, f"{binary} does not run ({error})", INSTALL_FFMPEG)
        return
    number = version.removeprefix("ffmpeg version ").split(" Copyright")[0]
    yield Finding("ffmpeg", State.OK, f"{number}, {binary}")
    yield _check_codecs("ffmpeg encoders", ENCODERS, encoders)
    yield _check_codecs("ffmpeg decoders", DECODERS, decoders)


def _codecs(listing: str) -> set[str]:
    """Names in ffmpeg's list of encoders or decoders; six flags precede each name."""
    return set(re.findall(r"^ [A-Z.]{6} (\S+)", listing, re.MULTILINE))


def _check_codecs(subject: str, needed: Mapping[str, str], present: set[str]) -> Finding:
    missing = [name for name in needed if name not in present]
    if not missing:
        return Finding(subject, State.OK, ", ".join(needed))
    effects = "; ".join(f"without {name}, {needed[name]}" for name in missing)
    advice = f"{effects}; {INSTALL_FFMPEG}"
    return Finding(subject, State.FAIL, f"missing: {', '.join(missing)}", advice)


def gpu() -> Iterator[Finding]:
    """Check whether torch can use a GPU; if the machine has one that it can't use, say why."""
    import torch  # takes a second or more: only here

    version = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        yield Finding("GPU", State.OK, f"{torch.cuda.get_device_name()}, {version}")
    elif shutil.which("nvidia-smi"):
        advice = (
            "the driver may be older than the CUDA version of torch: update the driver, or install"
            " a torch for it (pytorch.org)"
        )
        yield Finding("GPU", State.WARN, f"{version} can't use the GPU of this machine", advice)
    else:
        advice = (
            "the demo and spm localize are fast enough without a GPU; MUSIC at the paper's sizes"
            " takes weeks"
        )
        yield Finding("GPU", State.WARN, f"none; {version} uses the processors", advice)


def conda() -> Iterator[Finding]:
    """Check the conda that --use-conda would call."""
    path = shutil.which("conda")
    advice = "only --use-conda needs it: without that option everything runs in this environment"
    if not path:
        yield Finding("conda", State.OK, "none", advice)
        return
    try:
        yield Finding("conda", State.OK, f"{_output_of(path, '--version').strip()}, {path}")
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("conda", State.WARN, f"{path} does not run ({error})", advice)


def slurm(profile: Path) -> Iterator[Finding]:
    """Check whether SLURM answers and has the partitions that the profile names."""
    if not shutil.which("sbatch"):
        advice = "only --workflow-profile workflow/profiles/slurm needs it"
        yield Finding("SLURM", State.OK, "none", advice)
        return
    try:
        partitions = set(_output_of("sinfo", "--noheader", "--format", "%R").split())
    except (OSError, subprocess.SubprocessError):
        advice = "run spm doctor on the cluster's login node; elsewhere, run without the profile"
        result = "sbatch is installed, but no controller answers sinfo"
        yield Finding("SLURM", State.WARN, result, advice)
        return
    text = profile.read_text(encoding="utf-8")
    named = set(re.findall(r"^ *slurm_partition: *(\S+)", text, re.MULTILINE))
    result = f"partitions {', '.join(sorted(partitions))}"
    missing = sorted(named - partitions)
    if missing:
        advice = f"write the names of your partitions into {profile} (docs/cluster.md)"
        yield Finding("SLURM", State.WARN, f"{result}; missing: {', '.join(missing)}", advice)
    else:
        yield Finding("SLURM", State.OK, result)


def javascript(project: Project) -> Iterator[Finding]:
    """Check the JavaScript runtime that yt-dlp needs for YouTube, if the manifest needs it."""
    videos = sum("youtu" in location for location in project.web_addresses())
    path = shutil.which("deno")  # the only runtime that yt-dlp looks for by default
    if videos and not path:
        advice = (
            "without it, yt-dlp downloads few of them: install deno (deno.com), or use --use-conda,"
            " which installs it"
        )
        result = f"none, but {videos} videos come from YouTube"
        yield Finding("JavaScript", State.WARN, result, advice)
    elif videos:
        yield Finding("JavaScript", State.OK, str(path))


def disks(project: Project) -> Iterator[Finding]:
    """Check free space and permissions of the folders of media and results."""
    store = project.folder / project.config["corpus"]["store"]
    yield _check_disk("store", store, STORE_MB * len(project.web_addresses()))
    yield _check_disk("results", project.folder / "results", RESULTS_MB * len(project.videos))


def _check_disk(subject: str, folder: Path, needed_mb: float) -> Finding:
    parents = (folder, *folder.absolute().parents)
    existing = next(path for path in parents if path.exists())
    if not os.access(existing, os.W_OK):
        advice = "use a folder that you can write to: corpus.store, or snakemake --directory"
        return Finding(subject, State.FAIL, f"{existing} is not writable", advice)
    free_mb = shutil.disk_usage(existing).free / 1e6
    result = f"{free_mb / 1000:.0f} GB free at {folder}, about {needed_mb / 1000:.0f} GB needed"
    if free_mb < MIN_FREE_MB:
        state = State.FAIL
    elif free_mb < needed_mb:
        state = State.WARN
    else:
        return Finding(subject, State.OK, result)
    advice = "free some space, or use a larger disk: corpus.store, or snakemake --directory"
    return Finding(subject, state, result, advice)


def addresses(project: Project) -> list[str]:
    """Sites that the workflow would download from: videos, first weights, Open Images."""
    urls = [urlsplit(location) for location in project.web_addresses()]
    hosts = ((url.scheme, url.netloc.rpartition("@")[2]) for url in urls)  # without a password
    sites = Counter(f"{scheme}://{host}" for scheme, host in hosts)
    config = project.config
    sources = config["corpus"]["boxes"] or ()
    trains_detector = "detector" in sources and not config["detect"]["weights"]
    starts = {runs.run_config(config, run)["start"] for run in runs.run_names(config)}
    if trains_detector:
        starts.add(config["detector"]["start"])
    chosen = [site for site, _ in sites.most_common(3)]
    if starts & {"coco", "imagenet"}:
        chosen.append("https://download.pytorch.org")
    if (
        trains_detector
        and config["detector"]["source"] == "openimages"
        and config["openimages"]["mirror"] is None
    ):
        chosen.append("https://storage.googleapis.com")
    return chosen


def network(project: Project) -> Iterator[Finding]:
    """Check that each site answers; any answer counts."""
    sites = addresses(project)
    with ThreadPoolExecutor(max(1, len(sites))) as pool:
        yield from pool.map(_check_site, sites)


def _check_site(site: str) -> Finding:
    try:
        requests.head(site, timeout=NETWORK_TIMEOUT_S)
    except requests.RequestException as error:
        advice = (
            "download on a machine with internet access (snakemake all --until fetch), or set"
            " https_proxy"
        )
        result = f"{site} does not answer ({type(error).__name__})"
        return Finding("network", State.WARN, result, advice)
    return Finding("network", State.OK, site)


def config_findings(project: Project) -> Iterator[Finding]:
    """What the workflow says before it plans: each problem, with its remedy, is a finding."""
    states = {Severity.ERROR: State.FAIL, Severity.WARNING: State.WARN, Severity.NOTE: State.OK}
    for problem in project.problems:
        yield Finding("config", states[problem.severity], problem.line)
    if not any(problem.severity is Severity.ERROR for problem in project.problems):
        yield Finding("config", State.OK, f"{len(project.videos)} videos in {project.manifest}")


def findings(
    folder: Path,
    config_files: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    *,
    online: bool = True,
) -> Iterator[Finding]:
    """All checks: first of the machine; then, if the config is valid, of what the project needs."""
    yield from machine()
    yield from media(ffmpeg.binary())
    yield from gpu()
    yield from conda()
    yield from slurm(PROFILE)
    try:
        project = load_project(folder, config_files, overrides)
    except UserError as error:
        advice = "correct it, or name another with --configfile or --directory"
        for line in str(error).splitlines():
            yield Finding("config", State.FAIL, line, advice)
        return
    yield from config_findings(project)
    yield from javascript(project)
    yield from disks(project)
    if online:
        yield from network(project)
