"""Kinds of files that players show differently from what their header or first track suggests."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spm.base.constants import SAMPLE_RATE_HZ
from spm.corpus.clips import Clips
from spm.corpus.media import tone
from spm.corpus.media.edits import Piece, read_edits
from spm.corpus.media.probe import probe
from spm.corpus.media.programs import read_programs
from tests.corpus.test_clips import LOSSLESS, cut_one, numbers_of, on_screen, sound_of
from tests.support.media import chirps, edit, ffmpeg, make_video, shift

CASES = Path(__file__).parents[3].parent / "shared" / "data" / "cases" / "media"
NO_CASES = pytest.mark.skipif(not CASES.is_dir(), reason="no cases in shared/data")
PATCHES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.2176,) * 3, (1, 1, 1))  # linear light
SHOWN = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (135,) * 3, (255,) * 3)


def patches_of(clip) -> np.ndarray:
    """Colors in the middle of five patches side by side."""
    picture = np.asarray(Image.open(io.BytesIO(clip["frames"][0])).convert("RGB"), float)
    height, width, _ = picture.shape
    return np.array([picture[height // 2, int((n + 0.5) * width / 5)] for n in range(5)])


# ---- Clocks


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_with_pictures_out_of_order_is_not_late(tmp_path, codec):
    codecs = ("-c:v", codec, "-bf", "2", "-q:v", "3", "-c:a", "pcm_s16le")
    found, facts = cut_one(make_video(tmp_path / "film.avi", fps="25", codecs=codecs))
    assert numbers_of(found) == on_screen("25", 3)
    assert abs(shift(sound_of(found), chirps(3, SAMPLE_RATE_HZ))) <= 16
    assert facts["status"] == "ok"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_clock_that_starts_at_an_hour_is_no_fault(tmp_path, suffix):
    film = make_video(tmp_path / f"film{suffix}", options=["-output_ts_offset", "3600"])
    found, facts = cut_one(film)
    assert (facts["status"], facts["reason"], len(found)) == ("ok", "", 3)


@pytest.mark.slow
def test_a_gap_of_more_than_a_second_in_the_sound_is_partial(tmp_path):
    parts = []
    for number, start_s in enumerate((1, 6)):
        options = ["-output_ts_offset", str(start_s)]
        parts.append(make_video(tmp_path / f"{number}.ts", seconds=2, options=options))
    (tmp_path / "film.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    _, facts = cut_one(tmp_path / "film.ts")
    assert facts["status"] == "partial"
    assert "s in its sound at 4" in facts["reason"]


@pytest.mark.slow
def test_each_piece_of_an_edit_list_is_cut_by_its_own_times(tmp_path):
    codecs = ("-c:v", "libx264", "-bf", "2", "-c:a", "aac", "-movie_timescale", "1000")
    film = make_video(tmp_path / "film.mp4", seconds=6, rate_hz=48000, codecs=codecs)
    found, facts = cut_one(edit(film, [(3.25, 1.25), (None, 0.5), (1.0, 1.25)]))
    assert (facts["status"], facts["clips"]) == ("ok", 3)
    frames = [97, 105, 112, 120, 127, 127, 127, 30, 37, 45, 52, 60]  # nothing new from 1.25 to 1.75
    np.testing.assert_allclose(numbers_of(found), frames, atol=1)
    sound, expected = sound_of(found), chirps(6, SAMPLE_RATE_HZ)
    for begin_s, media_s, length_s in ((0.0, 3.25, 1.25), (1.75, 1.0, 1.25)):
        played, meant = (
            part[round(start_s * SAMPLE_RATE_HZ) :][: round(length_s * SAMPLE_RATE_HZ)]
            for part, start_s in ((sound, begin_s), (expected, media_s))
        )
        assert abs(shift(played, meant)) <= 16
    assert np.abs(sound[round(1.3 * SAMPLE_RATE_HZ) : round(1.7 * SAMPLE_RATE_HZ)]).max() < 0.01


def test_joined_files_are_played_one_after_the_other(tmp_path):
    codecs = ("-c:v", "libx264", "-bf", "2", "-c:a", "pcm_s16le")
    parts = [make_video(tmp_path / f"{n}.mkv", seconds=2, codecs=codecs) for n in range(2)]
    (tmp_path / "film.mkv").write_bytes(b"".join(part.read_bytes() for part in parts))
    found, facts = cut_one(tmp_path / "film.mkv")
    assert (facts["status"], facts["clips"]) == ("ok", 4)
    assert numbers_of(found)[8:] == numbers_of(found)[:8]
    late = shift(sound_of(found[2:]), chirps(2, SAMPLE_RATE_HZ))
    assert abs(late) <= 0.02 * SAMPLE_RATE_HZ


@NO_CASES
def test_the_pieces_of_an_edit_list_are_read():
    pictures, sound = read_edits(CASES / "edit_three.mp4")
    assert [piece.begin_s for piece in pictures] == [0.0, 2.0, 4.25]
    assert sound[2] == pytest.approx(Piece(437_824 / 48_000, 4.25, 2.0))


# ---- Tracks


@pytest.mark.slow
def test_the_sound_is_that_of_the_pictures_program(tmp_path):
    film = make_video(tmp_path / "film.mkv", codecs=("-c:v", "libx264", "-c:a", "aac"))
    inputs = ["-f", "lavfi", "-i", "anoisesrc=d=3", "-i", film]
    maps = ["-map", "0:a", "-map", "1:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"]
    programs = ["-program", "title=radio:st=0", "-program", "title=television:st=1:st=2"]
    ffmpeg(*inputs, *maps, *programs, tmp_path / "two.ts")
    found, facts = cut_one(tmp_path / "two.ts")
    assert read_programs(tmp_path / "two.ts") == {1: {0x100}, 2: {0x101, 0x102}}
    assert (facts["picture_track"], facts["sound_track"], facts["program"]) == (1, 2, 2)
    lead = shift(sound_of(found), chirps(3, SAMPLE_RATE_HZ))
    assert 0 <= lead < 0.05 * SAMPLE_RATE_HZ


def test_commentary_and_thumbnails_are_not_chosen(tmp_path):
    film = make_video(tmp_path / "film.mkv", codecs=LOSSLESS)
    Image.new("RGB", (64, 64)).save(tmp_path / "thumb.jpg")
    inputs = ["-i", tmp_path / "thumb.jpg", "-f", "lavfi", "-i", "anoisesrc=d=3", "-i", film]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:v", "-map", "2:a", "-c:v", "copy"]
    ffmpeg(*inputs, *maps, "-disposition:a:0", "comment", tmp_path / "four.mkv")
    found, facts = cut_one(tmp_path / "four.mkv")
    assert (facts["picture_track"], facts["sound_track"]) == (2, 3)
    assert numbers_of(found) == on_screen("30", 3, rounded=True)


# ---- Sound


@pytest.mark.parametrize(
    ("channels", "mix"),
    [
        (np.array([1.0, -1.0]), "left - right"),
        (np.array([1.0, 0.0]), "standard"),
        (np.ones(12), "mean of all channels"),
    ],
)
def test_channels_are_mixed_by_a_rule_that_the_row_names(tmp_path, channels, mix):
    sound = chirps(2, SAMPLE_RATE_HZ)[:, None] * channels
    film = make_video(
        tmp_path / "film.mkv", seconds=2, rate_hz=SAMPLE_RATE_HZ, sound=sound, codecs=LOSSLESS
    )
    found, facts = cut_one(film)
    assert (facts["downmix"], facts["status"]) == (mix, "ok")
    expected = chirps(2, SAMPLE_RATE_HZ) * np.abs(channels).mean()
    np.testing.assert_allclose(sound_of(found), expected, atol=4 / 32768)


# ---- Colors


@pytest.mark.parametrize(
    ("transfer", "primaries", "range_"),
    [
        ("smpte2084", "bt2020", "tv"),
        ("arib-std-b67", "bt2020", "pc"),
        ("bt709", "bt2020", "tv"),
        ("bt709", "bt709", "pc"),
    ],
)
def test_colors_are_those_of_an_sdr_screen(tmp_path, transfer, primaries, range_):
    picture = np.zeros((3, 96, 320), "<f4")
    for number, (red, green, blue) in enumerate(PATCHES):
        picture[:, :, 64 * number : 64 * (number + 1)] = np.array([green, blue, red])[:, None, None]
    matrix = {"bt2020": "bt2020nc", "bt709": "bt709"}[primaries]
    linear = "setparams=color_trc=linear:color_primaries=bt709:colorspace=gbr:range=pc"
    to = f"zscale=t={transfer}:p={primaries}:m={matrix}:r={range_}:npl=203"
    raw = ["-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-s", "320x96", "-r", "25", "-i", "pipe:"]
    tags = ["-color_trc", transfer, "-color_primaries", primaries, "-colorspace", matrix]
    ffmpeg(
        *raw, "-f", "lavfi", "-i", "sine=d=1", "-vf", f"{linear},{to},format=yuv420p10le",
        "-c:v", "libx265", "-x265-params", "log-level=error", *tags, "-color_range", range_,
        tmp_path / "film.mp4", given=picture.tobytes() * 25,
    )  # fmt: skip
    found, facts = cut_one(tmp_path / "film.mp4", Clips(size=160))
    np.testing.assert_allclose(patches_of(found[0]), SHOWN, atol=12)
    names = {"smpte2084": "pq", "arib-std-b67": "hlg", "bt709": "sdr"}
    assert facts["transfer"] == names[transfer]


def test_the_reference_white_of_both_curves_is_white():
    codes = {"pq": 0.580689, "hlg": 0.75}  # BT.2408
    for transfer, code in codes.items():
        assert tone.LIGHT[transfer](np.array([code])) == pytest.approx(1.0, abs=0.005)


def test_interlaced_pictures_are_not_combed(tmp_path):
    film = make_video(tmp_path / "fields.mkv", fps="50", seconds=2, codecs=LOSSLESS)
    woven = ["-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ilme+ildct"]
    ffmpeg("-i", film, *woven, "-c:v", "libx264", "-c:a", "copy", tmp_path / "film.mkv")
    found, facts = cut_one(tmp_path / "film.mkv")
    assert facts["interlaced"]
    fields = [2 * number for number in on_screen("25", 2)]  # the first of each two
    assert numbers_of(found) == fields


# ---- Films made after public reports


@NO_CASES
@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("ambisonic.webm", {"downmix": "first channel", "clips": 4}),
        ("edit_three.mp4", {"video_s": 6.25, "clips": 6}),
        ("fmp4_hour.mp4", {"clips": 8}),
        ("hdr_pq.mp4", {"transfer": "pq", "clips": 2}),
        ("mpts_radio.m2ts", {"program": 2, "picture_track": 1, "sound_track": 2}),
        ("muted.mp4", {"clips": 4}),
        ("ratechange_ts.m2ts", {"video_s": 8.0}),
        ("res_mp4.mp4", {"clips": 8}),
        ("reschange_webm.webm", {"clips": 8}),
    ],
)
def test_each_case_is_ok_with_its_tracks(tmp_path, name, facts):
    (tmp_path / name).symlink_to(CASES / name)
    found, row = cut_one(tmp_path / name, Clips(size=160))
    assert (row["status"], row["reason"]) == ("ok", "")
    assert {key: row[key] for key in facts} == facts
    if name.startswith("hdr"):
        np.testing.assert_allclose(patches_of(found[0]), SHOWN, atol=12)
    if name.startswith("muted"):
        assert {clip["rms_db"] for clip in found} == {-120.0}


def test_a_file_is_described_without_decoding_it(tmp_path):
    media = probe(make_video(tmp_path / "film.mp4"))
    assert media.pictures
    assert media.sound
    assert (media.start_s, media.jumps, media.fault) == (0.0, False, "")
    assert media.pictures.length_s == pytest.approx(3, abs=0.04)
    assert media.sound.length_s == pytest.approx(3, abs=0.04)
