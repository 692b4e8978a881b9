"""A part of a video, downloaded by ffmpeg through the proxy, with the times of the whole video.

ffmpeg asks for the index of the file and for the bytes of the part. It copies the packets from the
last key frame before the part on, in all tracks, so that nothing is encoded again and picture and
sound keep their times.
"""

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from yt_dlp.dependencies import certifi

from spm.corpus.fetching.errors import FetchError
from spm.corpus.media import ffmpeg, limits
from spm.corpus.media.formats import FORMAT_LIST

PROTOCOLS = "http,https,tls,tcp,httpproxy,crypto,data"
MOST_START_S = 0.1  # of the clock of a file: it should start at zero
ENVIRONMENT = re.compile("(no|all|https?)_proxy", re.IGNORECASE)
MEMORY_MB = 3000


class PartFailed(FetchError):
    """A part can't be downloaded by itself; the whole video can."""


class InFragments(PartFailed):
    """A site that serves media in fragments, which are downloaded as a whole."""

    def __init__(self, extractor: str) -> None:
        super().__init__("the media are served in fragments")
        self.extractor = extractor


class Limits(NamedTuple):
    """Limits of one download."""

    max_mb: float
    time_s: float
    timeout_s: float  # longest wait for data


def download(ydl: Any, info: Mapping[str, Any], out: Path, bounds: Limits) -> None:
    """Download the part of a video that yt-dlp has extracted.

    Parameters
    ----------
    ydl : YoutubeDL
        Its proxy and cookies are used.
    info : mapping
        The video, with the selected formats, `section_start` and `section_end` in s.
    out : Path
        The file, whatever its name in the format of Matroska. Its clock is that of the video.
    bounds : Limits
        Largest size and longest time.

    Raises
    ------
    PartFailed
        When the site serves no single files over HTTP, or the clock of one does not start at zero.
    """
    formats = info.get("requested_formats") or [info]
    if any(form.get("protocol") not in ("http", "https") for form in formats):
        raise InFragments(info["extractor"])
    command = [ffmpeg.binary(), "-nostdin", "-y", "-hide_banner", "-v", "info", "-copyts"]
    for form in formats:
        command += _input(ydl, form, info, bounds)
    for number in range(len(formats)):
        command += ["-map", f"{number}:v?", "-map", f"{number}:a?"]
    command += ["-c", "copy", "-fs", str(round(1e6 * bounds.max_mb)), "-f", "matroska"]
    unfinished = out.with_name(f"{out.stem}.temp{out.suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    _run([*command, f"file:{unfinished}"], ydl.params["proxy"], bounds.time_s)
    unfinished.replace(out)


def _input(ydl: Any, form: Mapping[str, Any], info: Mapping[str, Any], bounds: Limits) -> list[str]:
    start_s, end_s = info["section_start"], info["section_end"]
    lines = form.get("http_headers") or info.get("http_headers") or {}
    _check_secrets(form["url"], lines, ydl.cookiejar.get_cookie_header(form["url"]))
    options = {
        "-format_whitelist": FORMAT_LIST,
        "-protocol_whitelist": PROTOCOLS,
        **(_tls() if form["url"].startswith("https:") else {}),
        "-rw_timeout": str(round(1e6 * bounds.timeout_s)),
        "-headers": "".join(f"{name}: {value}\r\n" for name, value in lines.items()),
        **({"-ss": str(start_s)} if start_s else {}),  # a seek to 0 drops the start of Opus
        "-t": str(end_s - start_s),
        "-i": form["url"],
    }
    return [word for option in options.items() for word in option]


def _check_secrets(url: str, headers: Mapping[str, str], cookies: str | None) -> None:
    """Raise `PartFailed` where ffmpeg would need a login: other users can see its command line."""
    names = {name.lower() for name in headers}
    if cookies or urlsplit(url).username or names & {"cookie", "authorization"}:
        raise PartFailed("the site wants a login")


def _tls() -> dict[str, str]:
    """Options with which ffmpeg trusts the certificates of the system, or those of certifi."""
    authorities = ssl.get_default_verify_paths().cafile or (certifi and certifi.where())
    return {"-tls_verify": "1"} | ({"-ca_file": authorities} if authorities else {})


def _run(command: list[str], proxy: str | None, time_s: float) -> None:
    """Run ffmpeg; all its connections pass through the proxy."""
    env = {name: value for name, value in os.environ.items() if not ENVIRONMENT.fullmatch(name)}
    if proxy:
        env["http_proxy"] = proxy
    try:
        done = limits.run_limited(command, limits.Bounds(MEMORY_MB, round(time_s)), env)
    except limits.Timeout as error:
        raise PartFailed(str(error)) from error
    log = done.stderr.decode(errors="replace")
    starts = [float(text) for text in re.findall(r"Duration: .*?, start: (-?[\d.]+)", log)]
    if done.returncode or not starts:
        raise PartFailed(f"ffmpeg: {log.strip().splitlines()[-1:]}")
    if max(map(abs, starts)) > MOST_START_S:
        raise PartFailed("the clock of the media does not start at zero")
