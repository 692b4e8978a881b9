"""What a failed download means for its video: the status in the ledger, and the reason.

Errors of this program carry their status in their class (`FetchError`), and the proxy marks its
refusals with a code. Only the messages of yt-dlp and of web sites are classified by their words.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from yt_dlp.utils import DownloadCancelled, YoutubeDLError

from spm.base.printable import printable
from spm.base.statuses import FetchStatus
from spm.corpus.fetching.proxy import REFUSAL_CODE

REASON_CHARS = 300

# The site refuses this machine or this account for a while, whatever the video.
THROTTLED = (
    r"not a bot|as a bot|anti-bot|captcha|rate.?limit|too many requests|HTTP Error 429|automated"
    r"|content isn.t available(\.|,|$)|your IP (address )?is|(blocked|rejected) by server"
    r"|blocked due to its TLS"
)
# Errors while reading data or an interface say little about the video: the signed addresses expire.
NOT_THE_PAGE = r"video data|Got error|API page"
BY_HTTP_STATUS = {
    401: FetchStatus.BLOCKED,
    402: FetchStatus.BLOCKED,
    403: FetchStatus.BLOCKED,
    404: FetchStatus.GONE,
    410: FetchStatus.GONE,
    451: FetchStatus.BLOCKED,
}
# Words of yt-dlp and of the sites that it reads; the first pattern that matches decides. They were
# collected from the errors that yt-dlp's extractors raise as expected ones.
BY_WORDS = (
    (FetchStatus.RETRY, rf"{NOT_THE_PAGE}|try again later|check back|needs to be reloaded"),
    (FetchStatus.RETRY, r"on this app|live now|will (begin|start)|premieres|upcoming|scheduled"),
    (FetchStatus.RETRY, r"not (yet )?started|(available|downloadable) yet|not yet available"),
    (FetchStatus.RETRY, r"will be available|processing|temporarily|network error"),
    (FetchStatus.GONE, r"available in this language|there is no archive"),
    (FetchStatus.BLOCKED, r"(your|this) (country|region|location)|geo.?block|restrict(ed|ion)"),
    (FetchStatus.BLOCKED, r"available in \w+ only|only (available|licensed) (in|to users in)\b"),
    (FetchStatus.BLOCKED, r"from display|by decision of|other websites|\bDRM\b"),
    (FetchStatus.BLOCKED, r"confirm your age|age.verif|adult|older than|after \d\d:\d\d"),
    (FetchStatus.BLOCKED, r"\bnsfw|sensitive content|some users|\bmature"),
    (FetchStatus.BLOCKED, r"premium|purchase|payment|\b(pay|paid)\b|not free|rent(al|ed)\b|ticket"),
    (FetchStatus.BLOCKED, r"members?\b|\bvip\b|supporter|tv provider|password|passcode|\blocked"),
    (FetchStatus.BLOCKED, r"need to log.?in|have to be logged|account (that|authentication)"),
    (FetchStatus.BLOCKED, r"not authorized|permissions? to|have access|been approved|if you have"),
    (FetchStatus.BLOCKED, r"cookies\b.*(need|requir|found)|(provided|refresh your) cookies"),
    (FetchStatus.RETRY, r"currently (un|not )available|(is|now) offline|not live|token"),
    (FetchStatus.GONE, r"private|removed|terminated|deleted|no longer (available|exist)|expired"),
    (FetchStatus.GONE, r"(account|channel).*closed|do(es)?(n.t| not) exist|copyright"),
    (FetchStatus.GONE, r"(has|have|was|space) ended|(track|stream|content|space|\") not found"),
    (FetchStatus.GONE, r"(is|video|#\S+) unavailable|clip not available"),
    (FetchStatus.GONE, r"(video|recording|content|livestream)( \S+)? is(n.t| not) available"),
    (FetchStatus.BLOCKED, r"sign in|logged.?in|log.?in\b|authenticat|registered|subscri"),
    (
        FetchStatus.BLOCKED,
        r"an account|forbidden|unable to access|content is unreach|inaccess",
    ),
    (FetchStatus.BAD, r"unsupported|not a valid url|truncated|there is no video|not supported"),
    (FetchStatus.BAD, r"no (video|media)(/\w+|s)?\b.*(found|in|on)\b|unusual and will be skipped"),
    (FetchStatus.BAD, r"not a video|(n.t|not) (contain|have) (a|any) video|not contain audio"),
)


class FetchError(DownloadCancelled):  # type: ignore[misc]
    """A download that this program refuses or ends; yt-dlp passes the exception on unchanged."""

    status = FetchStatus.BAD


class ErrorClass(NamedTuple):
    """What an error means for the video."""

    status: FetchStatus
    throttled: bool = False  # the site refused this machine, whatever the video


def classify_error(error: Exception) -> ErrorClass:
    """Classify an error of a download, whoever raised it."""
    for cause in _causes(error):
        if isinstance(cause, FetchError):
            return ErrorClass(cause.status)
    if isinstance(error, MemoryError) or REFUSAL_CODE in str(error):
        return ErrorClass(FetchStatus.BAD)
    return classify_message(reason_of(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and the exceptions that led to it; yt-dlp keeps those in `exc_info`."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        _, wrapped, _ = getattr(error, "exc_info", None) or (None, None, None)
        error = wrapped or error.__cause__ or error.__context__


def classify_message(message: str) -> ErrorClass:
    """Classify a message of yt-dlp or of a site; an unknown error may be temporary.

    An HTTP error for a page is the site's decision about the video. An HTTP error for anything else
    may be temporary.
    """
    words = re.sub(r"\w+://\S+", "", message)  # an address may contain any word
    if re.search(THROTTLED, words, re.IGNORECASE):
        return ErrorClass(FetchStatus.RETRY, throttled=True)
    http = re.search(r"HTTP Error (\d{3})", words)
    if http and not re.search(NOT_THE_PAGE, words):
        return ErrorClass(BY_HTTP_STATUS.get(int(http[1]), FetchStatus.RETRY))
    for status, pattern in BY_WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return ErrorClass(status)
    return ErrorClass(FetchStatus.RETRY)


def reason_of(error: Exception) -> str:
    """The reason for the ledger; errors of other libraries get the name of their class."""
    if isinstance(error, YoutubeDLError):
        return normalize_message(str(error))
    return normalize_message(f"{type(error).__name__}: {error}")


def normalize_message(message: str) -> str:
    """The first line of a message, without the parts that differ between runs.

    Removed are colors, addresses in memory, advice, and the proxy's refusal code.
    """
    text = re.sub(r"\x1b\[[0-9;]*m|\r", "", message).strip().split("\n")[0]
    text = re.split(r" \(caused by |; please report | Use --", text)[0]
    text = re.sub(r"HTTPS?Connection(Pool)?\(.*?\): |<[\w.]+ object at \w+>: ", "", text)
    text = re.sub(
        r"\('Unable to connect to proxy', OSError\(.Tunnel connection failed: \d+ (.*?).\)\)",
        r"\1",
        text,
    )
    text = re.sub(rf"(HTTP Error \d+: )?{REFUSAL_CODE} ", "", text)
    text = re.sub(r"\d+ bytes read, \d+ more expected", "the connection was cut", text)
    text = re.sub(r"^(ERROR: )?(\[[\w:+.-]+\] (\S+: )?)?", "", text)  # [extractor] video:
    return printable(re.sub(r"\s+", " ", text).strip())[:REASON_CHARS]
