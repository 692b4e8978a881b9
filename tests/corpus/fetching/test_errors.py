"""The status of a download error; the wording of this program's own errors does not matter."""

import pytest
from yt_dlp.utils import DownloadError

from spm.base.statuses import FetchStatus
from spm.corpus.fetching import attempt, proxy
from spm.corpus.fetching.downloader import LiveNow, ManyVideos, OtherProtocol, reject_playlists
from spm.corpus.fetching.errors import (
    FetchError,
    classify_error,
    classify_message,
    normalize_message,
)

OWN_ERRORS = {
    "ManyVideos": FetchStatus.BAD,
    "LiveNow": FetchStatus.RETRY,
    "OtherProtocol": FetchStatus.BAD,
    "TooLarge": FetchStatus.BAD,
    "NotMedia": FetchStatus.BAD,
    "NotRead": FetchStatus.RETRY,
    "PartFailed": FetchStatus.BAD,  # the whole video is downloaded instead
    "InFragments": FetchStatus.BAD,
    "OtherFile": FetchStatus.BAD,
    "Incomplete": FetchStatus.RETRY,
}


def wrapped(error: Exception) -> DownloadError:
    """An error as yt-dlp passes it on: only the message, with the original in `exc_info`."""
    return DownloadError(f"ERROR: {error}", (type(error), error, None))


@pytest.mark.parametrize(("name", "status"), OWN_ERRORS.items())
@pytest.mark.parametrize("message", [None, "Private video. HTTP Error 404: not a bot"])
def test_an_own_error_has_the_status_of_its_class_whatever_its_message(name, status, message):
    error = own_errors()[name](message)
    assert classify_error(error) == (status, False)
    assert classify_error(wrapped(error)) == (status, False)


def own_errors() -> dict[str, type[FetchError]]:
    """Subclasses of `FetchError` in all modules, by their names."""
    assert attempt  # which imports all modules that raise them
    found, waiting = {}, [FetchError]
    while waiting:
        classes = waiting.pop().__subclasses__()
        found |= {item.__name__: item for item in classes}
        waiting += classes
    return found


def test_every_own_error_is_tested():
    assert set(own_errors()) == set(OWN_ERRORS)


REFUSALS = [
    "[generic] a: Unable to download webpage: HTTP Error 403: {phrase} (caused by <HTTPError 403>)",
    "[generic] a: Unable to download webpage: ('Unable to connect to proxy', "
    "OSError('Tunnel connection failed: 403 {phrase}'))",
    "unable to download video data: HTTP Error 403: {phrase}",
]


@pytest.mark.parametrize("template", REFUSALS)
@pytest.mark.parametrize("sentence", ["localhost is private", "Sign in. HTTP Error 429", "?"])
def test_a_refusal_of_the_proxy_is_recognized_by_its_code_whatever_its_sentence(template, sentence):
    phrase = f"{proxy.REFUSAL_CODE} {sentence}"
    error = DownloadError("ERROR: " + template.format(phrase=phrase))
    assert classify_error(error) == ("bad", False)
    reason = normalize_message(str(error))
    assert reason.endswith(sentence.strip())
    assert proxy.REFUSAL_CODE not in reason
    assert "HTTP Error 403" not in reason


def test_reject_playlists_accepts_one_finished_video_only():
    reject_playlists({"id": "a", "protocol": "https+m3u8_native"})
    with pytest.raises(ManyVideos):
        reject_playlists({"id": "a", "playlist_index": 1})
    with pytest.raises(LiveNow):
        reject_playlists({"id": "a", "is_live": True})
    with pytest.raises(OtherProtocol):
        reject_playlists({"id": "a", "protocol": "https+rtmp"})


SITE_MESSAGES = {
    "gone": [
        "[youtube] jW_AuF6dQYY: Video unavailable",
        "[youtube] a: Private video. Sign in if you've been granted access to this video",
        "[youtube] a: Video unavailable. This video has been removed by the uploader",
        "[youtube] a: This video is no longer available because the YouTube account has been"
        " terminated",
        "[youtube] a: This video has been removed for violating YouTube's Terms of Service",
        "[youtube] a: Video unavailable. This video is no longer available due to a copyright claim"
        " by X",
        "[youtube] a: This live stream recording is not available.",
        "[youtube] a: Video unavailable. This video contains content from X, who has blocked it on"
        " copyright grounds",
        "[twitch] a: Broadcast no longer exists",
        "[x] a: Video #12 is unavailable",
        "[x] a: Stream not found; it has most likely expired",
        "[x] a: This livestream has ended",
        "[youku] a: Youku said: Sorry, this video is private",
        "[x] a: This VOD is private",
        "[arte] a: Video is not available in this language edition of Arte or broadcast rights"
        " expired",
        "[x] a: This event has ended and there is no archive for this event",
    ],
    "blocked": [
        "[youtube] a: Sign in to confirm your age. This video may be inappropriate for some users.",
        "[youtube] a: The uploader has not made this video available in your country",
        "[youtube] a: Video unavailable. It contains content from SME, who has blocked it in your"
        " country",
        "[youtube] a: Join this channel to get access to members-only content like this video",
        "[youtube] a: This video is only available to Music Premium members",
        "[youtube] a: Video unavailable. Playback on other websites has been disabled by the video"
        " owner",
        "[vimeo] a: This video is only available for registered users. Use --cookies",
        "[x] a: This video is DRM protected",
        "[youtube] a: Video unavailable. It contains content from X, who has blocked it from"
        " display on this website or application",
        "[youtube] a: The web client only works when logged-in",
        "[twitter] a: NSFW tweet requires authentication",
        "[x] a: Account authentication is required",
        "[x] a: Login details are needed",
        "[x] a: An account is needed to access this media",
        "[x] a: Video may need login to view",
        "[x] a: You need to log in to access this content",
        "[x] a: This video requires login",
        "[x] a: You do not have permission to view this post. Log into an account that has access",
        "[instagram] a: This user's account is private. Log into an account that has access",
        "[x] a: This is a private playlist. You need to login as its owner",
        "[reddit] a: Private subreddit; an account that has been approved is required",
        "[twitter] a: You are not authorized to view this protected tweet",
        "[x] a: Fresh cookies (not necessarily logged in) are needed",
        "[x] a: Expired token. Refresh your cookies in browser and try again",
        "[x] a: This content is password-protected. Use the --video-password option",
        "[x] a: This video is not available from your location due to geo restriction",
        "[x] a: This video is not available due to geoblocking",
        "[x] a: This video is available in Taiwan only",
        "[youku] a: Youku said: Sorry, this video is available in China only",
        "[x] a: This video is only available in Sweden",
        "[x] a: X said: The video is only licensed to users in Mainland China.",
        "[x] a: X said: This page is currently unavailable in your region",
        "[x] a: No media links found; possibly due to geo restriction",
        "[x] a: Access to this webpage has been blocked by decision of the Russian government",
        "[x] a: Adult verification is required for this stream",
        "[x] a: Only users older than 19 are able to watch this video",
        "[x] a: This video is only available for age verified users or after 22:00",
        "[x] a: Login is required to access age-restricted content",
        "[x] a: Sensitive content setting must be enabled",
        "[x] a: Ticket purchase is required for this stream",
        "[x] a: Video a is locked",
        "[x] a: The song is only for VIP accounts.",
        "[x] a: This post requires a subscription",
        "[x] a: This is a supporter-only video: a",
        "[x] a: This content is unreachable",
        "[generic] a: Unable to download webpage: HTTP Error 403: Forbidden",
    ],
    "retry": [
        "unable to download video data: HTTP Error 403: Forbidden",
        "[youtube] a: Unable to download API page: HTTP Error 403: Forbidden",
        "[youtube] a: This live event will begin in 3 hours.",
        "[youtube] a: The page needs to be reloaded.",
        "[youtube] a: Video unavailable. The following content is not available on this app.",
        "[youtube] a: Requested format is not available. Use --list-formats for a list of"
        " available formats",
        "Unable to download webpage: HTTP Error 503: Service Unavailable",
        "Unable to download webpage: [Errno 101] Network is unreachable (caused by"
        " TransportError('…'))",
        "\r[download] Got error: 31415 bytes read, 27182 more expected",
        "[generic] a: something nobody has seen before",
        "[x] a: Livestream has not yet started",
        "[x] a: Stream is offline; scheduled for 3 pm",
        "[x] a: This video is currently unavailable. It may still be uploading or processing.",
        "[x] a: This event has ended, and the archive will be available shortly",
        "[x] a: Your token has expired or is invalid.",
        "[x] a: Service temporarily unavailable",
        "[x] a: The video will be available after 3 pm",
        "[x] a: This stream is not live",
        "[x] a: Brightcove video ID not found in webpage",
        "[Errno 13] Permission denied: 'a'",
    ],
    "bad": [
        "[generic] Unsupported URL: https://example.org/private-video-removed",
        "[youtube:truncated_id] a: Incomplete YouTube ID abc. URL https://youtu.be/abc looks"
        " truncated.",
        "[x] a: No video could be found in this post",
        "[x] a: There is no video in this post",
        "[x] a: This article does not contain a video",
        "[x] a: Lecture 3 is not a video",
        "[x] a: No video/audio found at the provided url.",
    ],
}


@pytest.mark.parametrize("status", SITE_MESSAGES)
def test_the_messages_of_sites_are_classified_by_their_words(status):
    for message in SITE_MESSAGES[status]:
        error = DownloadError(f"ERROR: {message}")
        assert classify_error(error) == (status, False), message
        assert classify_message(normalize_message(str(error))) == (status, False), message


THROTTLED = [
    "[youtube] a: Video unavailable. This content isn't available.",
    "[youtube] a: Video unavailable. This content isn’t available, try again later.",
    "[bilibili] a: Request is blocked by server (412), please wait and try later.",
    "[reddit] a: Your IP address is unable to access the Reddit API",
    "[youtube] a: All player responses are invalid. Your IP is likely being blocked by Youtube",
    "[x] a: You have exceeded the rate limit. Try again later",
    "[youtube] a: Sign in to confirm you’re not a bot. Use --cookies-from-browser",
    "[youtube] a: Video unavailable. This content isn't available, try again later. The current"
    " session has been rate-limited by YouTube for up to an hour.",
    "[youtube] a: Sorry. YouTube is requiring a captcha challenge before playback",
    "[generic] a: Unable to download webpage: HTTP Error 429: Too Many Requests (caused by"
    " <HTTPError 429>)",
    "[generic] Got HTTP Error 403 caused by Cloudflare anti-bot challenge; see "
    " https://example.org",
]


@pytest.mark.parametrize("message", THROTTLED)
def test_a_refusal_of_automatic_access_may_be_temporary_and_is_counted(message):
    assert classify_error(DownloadError(f"ERROR: {message}")) == ("retry", True)


MESSAGES = [
    ("\x1b[0;31mERROR:\x1b[0m [youtube] -x_y: Video unavailable", "Video unavailable"),
    (
        "ERROR: \r[download] Got error: 7 bytes read, 9 more expected",
        "Got error: the connection was cut",
    ),
    (
        "ERROR: [generic] Unable to download webpage: <urllib3.HTTPConnection object at 0x7f>:"
        " refused",
        "refused",
    ),
    ("ERROR: [x] a: No sound; please report this issue on  https://example.org", "No sound"),
    ("ERROR: [x] a: Not here.\nThis video is available in Norway.", "Not here."),
]


@pytest.mark.parametrize(("message", "reason"), MESSAGES)
def test_a_reason_contains_nothing_that_differs_between_runs(message, reason):
    assert normalize_message(message).endswith(reason)
    assert not set(normalize_message(message)) & set("\x1b\r\n<")
