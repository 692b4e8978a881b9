"""What an error of yt-dlp, or of a site it asks, means for a video: the words are theirs, the statuses the ledger's."""

import re
from typing import NamedTuple

REASON_CHARS = 300


class ErrorClass(NamedTuple):
    """What an error means for the video."""

    status: str  # gone, blocked, retry, bad
    throttled: bool = False  # the site refused this machine, whatever the video


THROTTLED = r"not a bot|as a bot|anti-bot|captcha|rate.?limit|too many requests|HTTP Error 429"
NOT_OURS_TO_ASK = r"is of a private network|expected https?://"  # the door's words
BY_HTTP = {401: "blocked", 402: "blocked", 403: "blocked", 404: "gone", 410: "gone", 451: "blocked"}
NOT_THE_PAGE = r"video data|Got error|API page"  # signed addresses run out, interfaces have moods
BY_WORDS = (  # of yt-dlp and the sites it asks; the first that matches decides
    ("retry", rf"{NOT_THE_PAGE}|try again later|check back|needs to be reloaded|on this app"),
    (
        "retry",
        r"live now|will begin|premieres|not yet started|upcoming|being processed|processing this video",
    ),
    (
        "blocked",
        r"your (country|region|location)|geo.?restrict|age.restrict|confirm your age|some users",
    ),
    ("blocked", r"members|premium|payment|purchase|rent(al|ed)\b|\bDRM\b|other websites|password"),
    (
        "gone",
        r"private|removed|terminated|deleted|no longer|(account|channel).*closed|do(es)?(n.t| not) exist",
    ),
    ("gone", r"video (is )?unavailable|(video|recording|content) is(n.t| not) available|copyright"),
    ("blocked", r"sign in|log.?in|registered users|subscri"),
    (
        "bad",
        r"unsupported url|not a valid url|truncated|no (video|media)s? (was |were )?found|there is no video",
    ),
    ("bad", r"a list of videos|unusual and will be skipped|not media|not over http|larger than"),
)


def classify_error(reason: str) -> ErrorClass:
    """What an error of yt-dlp means; one that is not known may come back, and its reason is kept.

    HTTP's refusal of a page is the site's decision on the video; that of anything else is asked again.
    """
    if re.search(NOT_OURS_TO_ASK, reason):
        return ErrorClass("bad")
    words = re.sub(r"\w+://\S+", "", reason)  # an address may hold any word
    if re.search(THROTTLED, words, re.IGNORECASE):
        return ErrorClass("retry", throttled=True)
    http = re.search(r"HTTP Error (\d{3})", words)
    if http and not re.search(NOT_THE_PAGE, words):
        return ErrorClass(BY_HTTP.get(int(http[1]), "retry"))
    return ErrorClass(
        next(
            (status for status, known in BY_WORDS if re.search(known, words, re.IGNORECASE)),
            "retry",
        )
    )


def normalize_message(message: str) -> str:
    """The first line of an error, without what differs from run to run: colors, addresses in memory, advice."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\r", "", message).strip().split("\n")[0]
    plain = re.split(r" \(caused by |; please report | Use --", plain)[0]
    plain = re.sub(r"HTTPS?Connection(Pool)?\(.*?\): |<[\w.]+ object at \w+>: ", "", plain)
    plain = re.sub(
        r"\('Unable to connect to proxy', OSError\(.Tunnel connection failed: \d+ (.*?).\)\)",
        r"\1",
        plain,
    )
    plain = re.sub(rf"HTTP Error 403: (?=.*({NOT_OURS_TO_ASK}))", "", plain)
    plain = re.sub(r"\d+ bytes read, \d+ more expected", "the connection was cut", plain)
    plain = re.sub(r"^(ERROR: )?(\[[\w:+.-]+\] (\S+: )?)?", "", plain)  # [extractor] video:
    return re.sub(r"\s+", " ", plain).strip()[:REASON_CHARS]
