"""Files of several parts: codecs or tables that change under way, and joined files."""

import numpy as np
import pytest

from spm.base.constants import SAMPLE_RATE_HZ
from spm.corpus.media.programs import changes, read_programs
from tests.corpus.test_clips import cut_one, numbers_of, on_screen, sound_of
from tests.support.media import chirps, ffmpeg, make_video, shift

CODECS = {
    "H.264, MPEG-2": (("libx264", "aac"), ("mpeg2video", "aac")),
    "MPEG-2, H.264": (("mpeg2video", "mp2"), ("libx264", "mp2")),
    "H.265, H.264": (("libx265", "aac"), ("libx264", "aac")),
    "AAC, AC-3": (("libx264", "aac"), ("libx264", "ac3")),
}


def join(folder, pairs, suffix=".ts", seconds=2, options=((),) * 9):
    """Films of some codecs, one after the other in one file, with a clock that goes on."""
    path = folder / f"joined{suffix}"
    with path.open("wb") as joined:
        for number, (pictures, sound) in enumerate(pairs):
            codecs = ("-c:v", pictures, "-g", "10", "-q:v", "2", "-c:a", sound)
            offset = ["-output_ts_offset", str(1.4 + seconds * number)] if "ts" in suffix else []
            name = folder / f"{number}{suffix}"
            film = make_video(name, seconds=seconds, rate_hz=48000, codecs=codecs,
                              options=[*offset, *options[number]])  # fmt: skip
            joined.write(film.read_bytes())
    return path


def check(found, parts=2, seconds=2):
    """Each part shows its own pictures with their sound, one after the other."""
    assert len(found) == parts * seconds
    for number in range(parts):
        part = found[seconds * number : seconds * (number + 1)]
        numbers, expected = np.array(numbers_of(part)), np.array(on_screen("30", seconds))
        start = int(number > 0)  # the sound of the part before is a little longer
        np.testing.assert_allclose(numbers[start:], expected[start:], atol=5)
        late_s = shift(sound_of(part), chirps(seconds, SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        assert -0.001 < late_s < 0.05 * (number + 1)
        pictures_late_s = np.mean(expected[1:] - numbers[1:]) / 30
        assert abs(pictures_late_s - late_s) < 1 / 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"), [*((name, ".ts") for name in CODECS), ("H.264, MPEG-2", ".m2ts")]
)
def test_a_track_that_changes_its_codec_is_decoded_part_by_part(tmp_path, name, suffix):
    found, facts = cut_one(join(tmp_path, CODECS[name], suffix))
    assert (facts["status"], facts["reason"]) == ("ok", "")
    check(found)


@pytest.mark.slow
def test_a_programme_whose_table_moves_is_followed(tmp_path):
    moved = [["-mpegts_pmt_start_pid", pid] for pid in ("0x1000", "0x1010", "0x1000")]
    found, facts = cut_one(join(tmp_path, [("libx264", "aac")] * 3, options=moved))
    assert (facts["status"], facts["reason"]) == ("ok", "")
    check(found, parts=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [
        (".flv", ("flv", "libmp3lame")),
        (".flv", ("libx264", "aac")),
        (".ogv", ("libtheora", "libvorbis")),
    ],
)  # fmt: skip
def test_joined_files_of_flv_and_ogg_are_played_one_after_the_other(tmp_path, suffix, codecs):
    found, facts = cut_one(join(tmp_path, [codecs] * 3, suffix))
    assert (facts["status"], facts["reason"]) == ("ok", "")
    check(found, parts=3)


@pytest.mark.slow
def test_joined_films_of_one_codec_change_nothing(tmp_path):
    film = join(tmp_path, [("libx264", "aac")] * 3)
    assert not list(changes(film))
    assert read_programs(film) == {1: {0x100, 0x101}}
    _, facts = cut_one(film)
    assert (facts["status"], facts["clips"]) == ("ok", 6)


def test_tables_are_found_after_bytes_that_are_no_packets(tmp_path):
    film = join(tmp_path, CODECS["H.264, MPEG-2"])
    (tmp_path / "odd.ts").write_bytes(b"G" * 77 + film.read_bytes()[:-30])
    (whole,), (odd,) = list(changes(film)), list(changes(tmp_path / "odd.ts"))
    assert odd == whole + 77
    for content in (b"", b"G", b"G" * 3000, bytes(3000), b"no film" * 999):
        (tmp_path / "text.ts").write_bytes(content)
        assert not list(changes(tmp_path / "text.ts"))


@pytest.mark.slow
def test_dolby_vision_without_a_base_layer_is_partial(tmp_path):
    """Its pictures are coded as other colors (IPT), which only its metadata say."""
    film = make_video(tmp_path / "film.mkv", codecs=("-c:v", "libx265", "-c:a", "aac"))
    for tag, status in (("dvh1", "partial"), ("hvc1", "ok")):
        copy = tmp_path / f"{tag}.mp4"
        ffmpeg("-i", film, "-c", "copy", "-tag:v", tag, copy)
        _, facts = cut_one(copy)
        assert facts["status"] == status
        assert ("Dolby Vision" in facts["reason"]) == (status == "partial")
