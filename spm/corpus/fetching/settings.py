"""Settings of the stage fetch."""

from pydantic import Field

from spm.base.config import UNIQUE, Section, Text


class Fetch(Section):
    """How videos are downloaded.

    The keys from retries to give_up_s (except cookies) control how politely servers are asked;
    changing them, or windows_only, reruns nothing.
    """

    format: Text = Field(
        "bv*+ba/b",
        description="yt-dlp's format selector; the default takes the best video and audio streams,"
        " or else the best single file.",
    )
    short_side_px: int = Field(
        360,
        ge=16,
        le=8_640,
        description="Wanted short side of the pictures, in px: the largest size up to this one, or"
        " else the smallest size above it.",
    )
    retries: int = Field(3, ge=1, le=100, description="Number of attempts per video in one run.")
    backoff_s: float = Field(
        5.0,
        ge=0,
        le=3_600,
        description="Wait before the second attempt, in s; it doubles with each further attempt.",
    )
    timeout_s: float = Field(
        30.0, gt=0, le=3_600, description="Longest wait for data on a connection, in s."
    )
    sleep_s: float = Field(1.0, ge=0, le=3_600, description="Wait between two videos, in s.")
    rate_limit: int | None = Field(
        None,
        ge=1,
        le=10_000_000_000,
        description="Highest rate of each download, in bytes/s; null: no limit.",
    )
    cookies: Text | None = Field(
        None,
        description="Cookie file in Netscape's format, from a browser with a login at the site. It"
        " is only read; null: none. When its content has changed, `make retry` also requests the"
        " videos that need a login.",
    )
    workers: int = Field(2, ge=1, le=100, description="Number of simultaneous downloads per shard.")
    bot_limit: int = Field(
        3,
        ge=1,
        le=1_000,
        description='Consecutive refusals of automatic access ("not a bot", HTTP 429) after which'
        " a shard requests no further videos.",
    )
    give_up_s: float = Field(
        3600,
        gt=0,
        le=1_000_000,
        description="Longest duration of one attempt to download a video, in s.",
    )
    max_mb: float = Field(
        4000,
        gt=0,
        le=10_000_000,
        description="Largest download, in MB; a larger video gets the status bad.",
    )
    windows_only: bool = Field(
        True,
        description="Of a video with few windows (columns start_s and end_s of the manifest) only"
        " these parts are downloaded, where the site serves single files over HTTP. false: the"
        " whole video. In both cases the windows of a video share its download.",
    )
    plugins: tuple[Text, ...] = Field(
        (),
        json_schema_extra=UNIQUE,
        description="Folders with plugins of yt-dlp: FOLDER/NAME/yt_dlp_plugins/extractor/….py."
        " Their code is executed. Plugins at other places, such as your home, are not loaded.",
    )
    private_hosts: tuple[Text, ...] = Field(
        (),
        json_schema_extra=UNIQUE,
        description="Hosts of this machine or of its network that may be contacted: names or"
        " numeric addresses, written as in the manifest. All others are refused.",
    )
