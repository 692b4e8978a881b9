"""Clips of videos made by ffmpeg, whose pictures and sound contain their time."""

import io
import signal
import stat
import subprocess
import sys
from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.base.statuses import Downmix
from spm.corpus import clips as stage_module
from spm.corpus.clips import Clips, run
from spm.corpus.media import decode as decode_module
from spm.corpus.media.cut import CLIP_BYTES, cut, level_db, split_pictures
from spm.corpus.media.judgment import Lengths, judge
from spm.corpus.media.probe import probe
from spm.corpus.media.temporary import Files
from tests.support.media import (
    chirps,
    delay,
    ffmpeg,
    lose_sound,
    make_video,
    number_in,
    numbered,
    shift,
    turn,
)

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "real" / "videos"
LOSSLESS = ("-c:v", "libx264", "-bf", "2", "-c:a", "pcm_s16le")
VARIABLE = (
    "select=not(mod(n\\,7))+lt(mod(n\\,60)\\,20)"  # of 60 pictures, the first 20 and each 7th
)
DEFAULTS = Clips()


def ledger_row(media: Path, **changes: object) -> dict[str, object]:
    row = {
        "video_id": media.stem,
        "status": "ok",
        "reason": "",
        "path": str(media),
        "sha256": "",
        "bytes": 0,
    }
    return row | {"extractor": "local"} | changes


def cut_all(
    folder: Path, rows: list[dict[str, object]], config: Clips = DEFAULTS, threads: int = 1
):
    """Run the stage on a ledger; its two tables as rows."""
    tables.write_rows(folder / "ledger.parquet", schemas.LEDGER, rows)
    paths = {name: folder / f"{name}.parquet" for name in ("ledger", "clips", "videos")}
    run(config, **paths, threads=threads)
    return tables.read(paths["clips"]).to_pylist(), tables.read(paths["videos"]).to_pylist()


def cut_one(video: Path, config: Clips = DEFAULTS):
    found, (facts,) = cut_all(video.parent, [ledger_row(video)], config)
    return found, facts


def sound_of(found) -> np.ndarray:
    return np.concatenate([np.frombuffer(clip["pcm"], "<i2") for clip in found]) / 32768


def numbers_of(found) -> list[int]:
    return [number_in(jpeg) for clip in found for jpeg in clip["frames"]]


def times_of(found) -> list[float]:
    return [time_s for clip in found for time_s in clip["frame_time_s"]]


def on_screen(
    fps: str,
    seconds: int,
    *,
    frames_per_clip: int = 4,
    late_s: Fraction = Fraction(0),
    rounded: bool = False,
) -> list[int]:
    """Numbers of the pictures that a player shows at the frame times of the clips.

    `rounded`: the time stamps are rounded to 1 ms, as in Matroska.
    """
    begins_s = [late_s + n / Fraction(fps) for n in range(ceil(seconds * Fraction(fps)) + 1)]
    stored_s = [
        Fraction(floor(1000 * begin_s + Fraction(1, 2)), 1000) if rounded else begin_s
        for begin_s in begins_s
    ]
    times_s = [Fraction(step, frames_per_clip) for step in range(seconds * frames_per_clip)]
    return [max(0, bisect_right(stored_s, time_s) - 1) for time_s in times_s]


# ---- Pictures


@pytest.mark.slow
@pytest.mark.parametrize("fps", ["24000/1001", "24", "25", "30000/1001", "30", "60"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_each_frame_is_the_picture_on_screen_at_its_time(tmp_path, fps, suffix):
    found, facts = cut_one(make_video(tmp_path / f"video{suffix}", fps=fps))
    assert times_of(found) == [step / 4 for step in range(12)]
    assert numbers_of(found) == on_screen(fps, 3, rounded=suffix == ".mkv")
    assert (facts["status"], facts["clips"]) == ("ok", 3)
    assert facts["fps"] == pytest.approx(float(Fraction(fps)), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_at_a_variable_rate_a_picture_stays_until_the_next_begins(tmp_path, suffix):
    video = make_video(tmp_path / f"video{suffix}", fps="60", options=["-vf", VARIABLE])
    kept = [n for n in range(180) if n % 7 == 0 or n % 60 < 20]
    found, _ = cut_one(video)
    assert numbers_of(found) == [kept[bisect_right(kept, 15 * step) - 1] for step in range(12)]


@pytest.mark.parametrize("frames_per_clip", [1, 3, 5])
def test_frames_are_evenly_spaced_whatever_their_number(tmp_path, frames_per_clip):
    found, _ = cut_one(make_video(tmp_path / "video.mp4"), Clips(frames_per_clip=frames_per_clip))
    assert [len(clip["frames"]) for clip in found] == [frames_per_clip] * 3
    assert times_of(found) == pytest.approx(
        [step / frames_per_clip for step in range(3 * frames_per_clip)]
    )
    assert numbers_of(found) == on_screen("30", 3, frames_per_clip=frames_per_clip)


@pytest.mark.parametrize(("turns", "degrees"), [(1, 270), (2, 180), (3, 90)])
def test_rotated_pictures_of_a_phone_are_upright(tmp_path, turns, degrees):
    found, facts = cut_one(turn(make_video(tmp_path / "phone.mp4", turns=turns), degrees))
    assert numbers_of(found) == on_screen("30", 3)
    assert facts["rotation_deg"] % 360 == degrees


def test_frames_are_squares_of_the_configured_size(tmp_path):
    found, facts = cut_one(make_video(tmp_path / "video.mp4", seconds=1), Clips(size=64))
    assert {Image.open(io.BytesIO(jpeg)).size for jpeg in found[0]["frames"]} == {(64, 64)}
    assert (facts["width"], facts["height"]) == (192, 96)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_colors_are_kept_for_each_color_matrix_of_the_video(tmp_path, matrix):
    color = (200, 40, 90)
    source = f"color=0x{bytes(color).hex()}:s=128x96:r=25:d=1,format=gbrp"
    to = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    tags = ["-colorspace", matrix, "-color_primaries", matrix, "-color_trc", matrix]
    inputs = ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=d=1"]
    ffmpeg(*inputs, "-vf", to, *tags, tmp_path / "red.mp4")
    found, _ = cut_one(tmp_path / "red.mp4")
    picture = np.asarray(Image.open(io.BytesIO(found[0]["frames"][0])), float)
    np.testing.assert_allclose(picture.mean(axis=(0, 1)), color, atol=4)


def test_a_lower_quality_makes_smaller_frames(tmp_path):
    video = make_video(tmp_path / "video.mp4", seconds=1)
    sizes = [
        len(cut_one(video, Clips(jpeg_quality=quality))[0][0]["frames"][0])
        for quality in (2, 8, 31)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


# ---- Sound


def test_16_khz_sound_is_not_changed(tmp_path):
    sound = chirps(3.5, SAMPLE_RATE_HZ)
    video = make_video(
        tmp_path / "video.mkv", seconds=3.5, rate_hz=SAMPLE_RATE_HZ, sound=sound, codecs=LOSSLESS
    )
    found, facts = cut_one(video)
    expected = np.round(sound * 32767).astype("<i2").tobytes()
    seconds = [expected[k * CLIP_BYTES : (k + 1) * CLIP_BYTES] for k in range(3)]
    assert [clip["pcm"] for clip in found] == seconds
    assert facts["audio_s"] == 3.5


@pytest.mark.parametrize(
    ("rate_hz", "channels"), [(8000, 1), (11025, 1), (22050, 2), (44100, 2), (48000, 6), (96000, 2)]
)
@pytest.mark.parametrize("codecs", [LOSSLESS, None], ids=["pcm", "aac"])
def test_sound_of_any_rate_and_channels_keeps_its_time(tmp_path, rate_hz, channels, codecs):
    chosen = {} if codecs is None else {"codecs": codecs}
    suffix = ".mp4" if codecs is None else ".mkv"
    video = make_video(tmp_path / f"video{suffix}", rate_hz=rate_hz, channels=channels, **chosen)
    found, facts = cut_one(video)
    assert (facts["rate_hz"], facts["channels"], facts["clips"]) == (rate_hz, channels, 3)
    sound, expected = sound_of(found), chirps(3, SAMPLE_RATE_HZ)
    assert abs(shift(sound, expected)) <= 1
    assert np.corrcoef(sound, expected)[0, 1] > 0.9


def test_a_click_is_at_its_sample(tmp_path):
    sound = np.zeros(3 * 48000)
    sound[[0, 48000, 96000 + 24000]] = 0.9
    found, _ = cut_one(
        make_video(tmp_path / "video.mkv", rate_hz=48000, sound=sound, codecs=LOSSLESS)
    )
    assert [int(np.abs(sound_of([clip])).argmax()) for clip in found] == [0, 0, 8000]


def test_both_sides_of_stereo_are_used(tmp_path):
    left, right = np.zeros((48000, 2)), np.zeros((48000, 2))
    left[:, 0] = right[:, 1] = chirps(1, 48000)
    for sound in (left, right):
        (clip,), _ = cut_one(
            make_video(
                tmp_path / "side.mkv", seconds=1, rate_hz=48000, sound=sound, codecs=LOSSLESS
            )
        )
        # Half the amplitude of the same sound on both sides.
        assert clip["rms_db"] == pytest.approx(-9.03 - 6.02, abs=0.1)


def test_the_level_is_that_of_the_samples():
    loud = np.tile(np.array([16384, -16384], "<i2"), SAMPLE_RATE_HZ // 2).tobytes()
    assert level_db(loud) == pytest.approx(20 * np.log10(0.5))
    assert level_db(bytes(CLIP_BYTES)) == -120
    assert level_db(np.full(SAMPLE_RATE_HZ, 16384, "<i2").tobytes()) == -120  # a constant


# ---- Both on the same clock


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_begins_late_is_preceded_by_silence(tmp_path, suffix):
    found, _ = cut_one(delay(make_video(tmp_path / f"video{suffix}"), sound_s=0.7))
    late = round(0.7 * SAMPLE_RATE_HZ)
    sound = sound_of(found)
    assert numbers_of(found) == on_screen("30", 3)
    assert np.abs(sound[: late - 32]).max() < 0.01
    assert abs(shift(sound, chirps(3, SAMPLE_RATE_HZ)) - late) <= 16


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_that_begin_late_are_preceded_by_the_first(tmp_path, suffix):
    found, facts = cut_one(delay(make_video(tmp_path / f"video{suffix}"), pictures_s=0.6))
    assert numbers_of(found) == on_screen("30", 3, late_s=Fraction(6, 10))
    assert (
        abs(shift(sound_of(found), chirps(3, SAMPLE_RATE_HZ))) <= 16
    )  # Matroska counts in milliseconds
    assert (facts["video_s"], facts["clips"]) == (3.75, 3)


def test_an_opus_padding_before_zero_moves_neither_track(tmp_path):
    codecs = ("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "500k", "-c:a", "libopus")
    found, _ = cut_one(make_video(tmp_path / "video.webm", rate_hz=48000, codecs=codecs))
    assert numbers_of(found) == on_screen("30", 3)
    assert (
        abs(shift(sound_of(found), chirps(3, SAMPLE_RATE_HZ))) <= 16
    )  # WebM counts in milliseconds


def test_a_broadcasts_clock_starts_with_its_earliest_track(tmp_path):
    found, facts = cut_one(make_video(tmp_path / "video.ts"))
    # The padding of AAC, which this container cannot mark.
    lead = shift(sound_of(found), chirps(3, SAMPLE_RATE_HZ))
    assert probe(tmp_path / "video.ts").start_s > 1
    assert 0 <= lead < 0.05 * SAMPLE_RATE_HZ
    assert numbers_of(found) == on_screen("30", 3, late_s=Fraction(lead, SAMPLE_RATE_HZ))
    assert facts["status"] == "ok"


def test_a_gap_in_the_sound_is_silence_and_later_sound_keeps_its_time(tmp_path):
    video = lose_sound(
        make_video(tmp_path / "video.mkv", seconds=4, rate_hz=48000, codecs=LOSSLESS), 1.2, 1.7
    )
    sound, expected = sound_of(cut_one(video)[0]), chirps(4, SAMPLE_RATE_HZ)
    assert len(sound) == 4 * SAMPLE_RATE_HZ
    assert np.abs(sound[int(1.3 * SAMPLE_RATE_HZ) : int(1.68 * SAMPLE_RATE_HZ)]).max() == 0
    assert abs(shift(sound[2 * SAMPLE_RATE_HZ :], expected[2 * SAMPLE_RATE_HZ :])) <= 16


@pytest.mark.parametrize(
    ("seconds", "sound_s", "clips"), [(4, 2.5, 2), (2.5, 4, 2), (2.75, 2.75, 2), (3, 3, 3)]
)
def test_a_clip_is_made_where_both_tracks_are_complete(tmp_path, seconds, sound_s, clips):
    video = make_video(
        tmp_path / "video.mkv", seconds=seconds, sound_s=sound_s, rate_hz=16000, codecs=LOSSLESS
    )
    found, facts = cut_one(video)
    assert len(found) == facts["clips"] == clips
    assert (facts["video_s"], facts["audio_s"], facts["status"]) == (
        ceil(4 * seconds) / 4,
        sound_s,
        "ok",
    )
    assert abs(shift(sound_of(found), chirps(clips, SAMPLE_RATE_HZ))) <= 1


@pytest.mark.slow
def test_only_the_first_seconds_are_used_when_configured(tmp_path):
    found, facts = cut_one(make_video(tmp_path / "video.mp4", seconds=5), Clips(max_s=2))
    assert numbers_of(found) == on_screen("30", 2)
    assert (facts["video_s"], facts["audio_s"], facts["clips"], facts["status"]) == (2, 2, 2, "ok")


# ---- Videos that cannot be used


@pytest.fixture
def media(tmp_path) -> Path:
    return make_video(tmp_path / "good.mp4", seconds=6)


def facts_of(video: Path):
    found, facts = cut_one(video)
    assert len(found) == facts["clips"]
    assert str(video.parent) not in facts["reason"]
    return facts


def outcome(video: Path) -> tuple[str, str]:
    facts = facts_of(video)
    return facts["status"], facts["reason"]


def test_a_video_that_was_not_fetched_is_missing_with_the_reason_of_the_ledger(tmp_path):
    row = ledger_row(Path("gone.mp4"), status="gone", reason="HTTP 404", path="")
    _, (facts,) = cut_all(tmp_path, [row])
    assert (facts["status"], facts["reason"], facts["clips"]) == ("missing", "gone: HTTP 404", 0)


def test_files_missing_from_the_store_stop_the_job(tmp_path, media):
    rows = [ledger_row(path) for path in (media, tmp_path / "away.mp4")]
    with pytest.raises(
        UserError, match=r"1 of 2 fetched videos are missing, .*away\.mp4.*make retry"
    ):
        cut_all(tmp_path, rows)
    assert not (tmp_path / "clips.parquet").exists()


def test_zero_bytes_are_empty(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert outcome(tmp_path / "empty.mp4") == ("empty", "zero bytes")


def test_text_is_unreadable(tmp_path):
    (tmp_path / "text.mp4").write_text("Not a video.\n" * 1000)
    assert outcome(tmp_path / "text.mp4") == (
        "unreadable",
        "a text: expected a file that contains pictures and sound",
    )


def test_a_playlist_under_a_videos_name_opens_no_other_file(tmp_path, media):
    (tmp_path / "list.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{media}\n#EXT-X-ENDLIST\n"
    )
    assert facts_of(tmp_path / "list.mp4")["status"] == "unreadable"


def test_an_mp4_without_its_index_is_unreadable(tmp_path, media):
    half = media.read_bytes()[: media.stat().st_size // 2]  # the index is at the end
    (tmp_path / "head.mp4").write_bytes(half)
    assert facts_of(tmp_path / "head.mp4")["status"] == "unreadable"


@pytest.mark.slow
def test_a_truncated_video_keeps_its_clips_and_is_partial(tmp_path, media):
    ffmpeg("-i", media, "-c", "copy", "-movflags", "+faststart", tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "part.mp4").write_bytes(whole[: len(whole) // 2])
    found, facts = cut_one(tmp_path / "part.mp4")
    assert facts["status"] == "partial"
    assert facts["reason"].endswith("of the stated 6.00 s")
    assert 1 <= len(found) == facts["clips"] <= 5
    assert numbers_of(found)[:-4] == on_screen("30", len(found) - 1)


@pytest.mark.slow
def test_damage_in_the_middle_does_not_move_other_clips(tmp_path, media):
    data = bytearray(media.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "hurt.mp4").write_bytes(data)
    found, facts = cut_one(tmp_path / "hurt.mp4")
    assert facts["clips"] == 6
    assert numbers_of(found[:2] + found[5:]) == on_screen("30", 6)[:8] + on_screen("30", 6)[20:]
    assert (
        abs(
            shift(
                sound_of(found)[5 * SAMPLE_RATE_HZ :],
                chirps(6, SAMPLE_RATE_HZ)[5 * SAMPLE_RATE_HZ :],
            )
        )
        <= 320
    )


@pytest.mark.slow
def test_pictures_without_sound_are_no_audio(tmp_path, media):
    ffmpeg("-i", media, "-an", "-c", "copy", tmp_path / "mute.mp4")
    facts = facts_of(tmp_path / "mute.mp4")
    assert (facts["status"], facts["width"], facts["rate_hz"]) == ("no-audio", 192, None)


@pytest.mark.slow
def test_sound_without_pictures_is_no_video(tmp_path, media):
    ffmpeg("-i", media, "-vn", "-c", "copy", tmp_path / "blind.m4a")
    facts = facts_of(tmp_path / "blind.m4a")
    assert (facts["status"], facts["width"], facts["rate_hz"]) == ("no-video", None, 44100)


@pytest.mark.slow
def test_an_album_cover_is_not_a_video_track(tmp_path, media):
    Image.fromarray(numbered(5)).save(tmp_path / "cover.png")
    inputs = ["-i", media, "-i", tmp_path / "cover.png", "-map", "0:a", "-map", "1:v"]
    ffmpeg(*inputs, "-c", "copy", "-disposition:v:0", "attached_pic", tmp_path / "record.mp4")
    assert facts_of(tmp_path / "record.mp4")["status"] == "no-video"


def test_less_than_a_second_is_short(tmp_path):
    status, reason = outcome(
        make_video(tmp_path / "blink.mkv", seconds=0.5, rate_hz=16000, codecs=LOSSLESS)
    )
    assert (status, reason) == ("short", "0.50 s of pictures, 0.50 s of sound")


def test_a_codec_that_ffmpeg_does_not_know_is_unreadable(tmp_path, media):
    (tmp_path / "odd.mp4").write_bytes(media.read_bytes().replace(b"avc1", b"zzz1"))
    assert facts_of(tmp_path / "odd.mp4")["status"] == "unreadable"


def test_an_error_midway_keeps_the_clips_and_the_reason():
    facts, lengths = {"video_s": 3.0, "audio_s": 3.0, "clips": 3}, Lengths(6.0, 6.0, 6.0)
    assert judge(facts, lengths, 69, "decoding failed") == {
        "status": "partial",
        "reason": "decoding failed",
    }
    assert judge(facts | {"clips": 0}, lengths, 69, "decoding failed")["status"] == "unreadable"


@pytest.mark.slow
def test_the_tables_are_in_the_order_of_the_ids_and_every_row_of_the_ledger_is_in_one(tmp_path):
    names = ["-b", "a", "c d", "B"]
    rows = [ledger_row(make_video(tmp_path / f"{name}.mp4", seconds=2)) for name in names]
    rows.append(ledger_row(Path("0.mp4"), status="retry", reason="429"))
    found, facts = cut_all(tmp_path, rows, threads=3)
    assert [row["video_id"] for row in facts] == ["-b", "0", "B", "a", "c d"]
    clip_ids = [f"{name}_000{k}000" for name in ("-b", "B", "a", "c d") for k in (0, 1)]
    assert [row["clip_id"] for row in found] == clip_ids


# ---- The job


@pytest.mark.slow
def test_the_bytes_depend_neither_on_the_threads_nor_on_the_run(tmp_path):
    rows = [ledger_row(make_video(tmp_path / f"{name}.mp4", seconds=2 + name)) for name in range(3)]
    written = []
    for threads in (1, 3, 3):
        cut_all(tmp_path, rows, threads=threads)
        written.append(
            [(tmp_path / f"{name}.parquet").read_bytes() for name in ("clips", "videos")]
        )
    assert written[0] == written[1] == written[2]


@pytest.mark.slow
def test_no_temporary_files_are_left(tmp_path, media):
    # As left by a killed run.
    (tmp_path / "clips.parquet.0a1b2c3d.decoded" / "0").mkdir(parents=True)
    cut_one(media)
    left = {path.name for path in tmp_path.iterdir()} - {media.name}
    assert left == {"ledger.parquet", "clips.parquet", "videos.parquet"}


@pytest.mark.slow
def test_groups_of_rows_span_videos(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_module, "GROUP_ROWS", 4)
    cut_all(tmp_path, [ledger_row(make_video(tmp_path / f"{n}.mp4", seconds=3)) for n in range(3)])
    table = stage_module.tables.pq.ParquetFile(tmp_path / "clips.parquet")
    assert [table.metadata.row_group(g).num_rows for g in range(table.num_row_groups)] == [4, 4, 1]


def test_an_empty_shard_has_empty_tables(tmp_path):
    assert cut_all(tmp_path, []) == ([], [])


@pytest.mark.slow
def test_a_missing_ffmpeg_is_an_error_of_the_job(tmp_path, media, monkeypatch):
    monkeypatch.setattr(decode_module, "binary", lambda: "/nowhere/ffmpeg")
    with pytest.raises(UserError, match="/nowhere/ffmpeg does not start"):
        cut_one(media)
    assert not (tmp_path / "clips.parquet").exists()


def stand_in(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"kill -{int(signal.SIGKILL)} $$", "stopped from outside"),
        ("exit 255", "stopped from outside"),
        ("echo No space left on device >&2; exit 1", "No space"),
    ],
)
def test_a_fault_of_the_machine_is_an_error_of_the_job(media, monkeypatch, script, message):
    program = stand_in(media.with_name("ffmpeg"), script)
    monkeypatch.setattr(decode_module, "binary", lambda: program)
    with pytest.raises(UserError, match=message):
        cut_one(media)


@pytest.mark.slow
def test_a_failure_with_the_exit_status_of_a_signal_is_the_videos(media, monkeypatch):
    program = stand_in(
        media.with_name("ffmpeg"),
        "echo Error opening decoder: Operation not permitted >&2; exit 255",
    )
    monkeypatch.setattr(decode_module, "binary", lambda: program)
    assert outcome(media) == ("unreadable", "Error opening decoder: Operation not permitted")


@pytest.mark.slow
def test_a_reason_contains_no_path_and_no_memory_address(media, monkeypatch):
    script = (
        f"echo '[in#0 @ 0x55d0] [mov @ 0x77ab] file:{media}: moov atom not found' >&2; exit 183"
    )
    program = stand_in(media.with_name("ffmpeg"), script)
    monkeypatch.setattr(decode_module, "binary", lambda: program)
    assert outcome(media) == ("unreadable", "input: moov atom not found")


@pytest.mark.slow
def test_the_command_line_is_run(tmp_path, media):
    tables.write_rows(tmp_path / "ledger.parquet", schemas.LEDGER, [ledger_row(media)])
    files = [f"--{name}={tmp_path / name}.parquet" for name in ("ledger", "clips", "videos")]
    module = [sys.executable, "-m", "spm.corpus.clips"]
    command = [*module, "--config", '{"frames_per_clip": 1}', *files, "--threads", "2"]
    subprocess.run(command, check=True, capture_output=True)
    found = tables.read(tmp_path / "clips.parquet").to_pylist()
    assert [clip["frame_time_s"] for clip in found] == [[k] for k in range(6)]


@pytest.mark.slow
def test_the_video_is_one_input_with_two_outputs(media):
    part, files = decode_module.Extent(0.0, None), Files(media.parent)
    job = decode_module.Job(media, probe(media), Clips().frames, part, files)
    (run_,) = job.runs(Downmix.STANDARD)
    arguments = run_.arguments
    assert arguments.count("-i") == 1
    assert arguments.count("-map") == 3  # the sound, and the difference of its channels


def test_a_value_out_of_range_is_named():
    with pytest.raises(ValidationError, match="frames_per_clip"):
        Clips(frames_per_clip=0)


# ---- Cutting, with any size of chunks


def mpjpeg(pictures: list[bytes]) -> bytes:
    parts = [
        b"Content-type: image/jpeg\r\nContent-length: %d\r\n\r\n%s\r\n" % (len(p), p)
        for p in pictures
    ]
    return b"--ffmpeg\r\n" + b"--ffmpeg\r\n".join(parts)


def pieces(data: bytes, edges: list[int]) -> list[bytes]:
    places = [0, *sorted(edge % (len(data) + 1) for edge in edges), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(
    pictures=st.lists(
        st.binary(max_size=40) | st.just(b"\r\n\r\nContent-length: 3\r\n\r\n--ffmpeg"), max_size=12
    ),
    seconds=st.integers(0, 4),
    rest=st.integers(0, CLIP_BYTES - 1),
    n=st.integers(1, 5),
    edges=st.tuples(
        st.lists(st.integers(0, 10**6), max_size=30), st.lists(st.integers(0, 10**6), max_size=30)
    ),
)
def test_no_size_of_chunks_loses_or_repeats_data(pictures, seconds, rest, n, edges):
    sound = np.arange(seconds * SAMPLE_RATE_HZ + rest // 2, dtype="<i4").astype("<i2").tobytes()
    clips = list(cut(pieces(mpjpeg(pictures), edges[0]), pieces(sound, edges[1]), n))
    assert len(clips) == min(len(pictures) // n, seconds)
    assert [frame for frames, _ in clips for frame in frames] == pictures[: n * len(clips)]
    assert b"".join(pcm for _, pcm in clips) == sound[: CLIP_BYTES * len(clips)]


def test_an_unfinished_picture_is_dropped():
    data = mpjpeg([b"first", b"second"])
    assert list(split_pictures([data[:-5]])) == [b"first"]


# ---- Real recordings


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings in {REAL.name} beside the repository")
def test_real_recordings_are_cut_whole(tmp_path):
    videos = sorted(REAL.glob("*.mp4"))[:2] + sorted(REAL.glob("violin+*.mp4"))
    found, facts = cut_all(tmp_path, [ledger_row(path) for path in videos], Clips(max_s=8))
    assert [row["status"] for row in facts] == ["ok"] * 3
    assert [row["clips"] for row in facts] == [8, 8, 5]
    assert all(-80 < clip["rms_db"] < 0 for clip in found)
