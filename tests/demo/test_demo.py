import csv
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from spm.base.errors import UserError
from spm.demo import scenario as demo
from spm.demo.backdrops import PAD, grade
from spm.demo.instruments import INSTRUMENTS
from spm.demo.pictures import Actor, Placed, film
from spm.demo.scenario import Demo, DemoVideo
from spm.demo.shapes import Motion, Pose, Shape, extent, matrix_of, rectangle, sprite, turned
from spm.demo.sounds import hertz, play, room
from spm.demo.voices import VOICES, Note, level, melody, sounding

SMALL = Demo(solos=1, duets=0, scenes=1, scene_s=1, width=128, height=96, fps=8)
RATE_HZ = 44_100


def solo(category: str, name: str = "a-video") -> DemoVideo:
    return DemoVideo(name, "solo", (category,))


def spectrum(category: str, seed: int, length_s: float = 1.0) -> np.ndarray:
    """Levels in thirds of octaves from 50 Hz, in dB, of a melody of one instrument."""
    rng = np.random.default_rng(seed)
    sound = play(VOICES[category], melody(VOICES[category], rng, length_s), rng, RATE_HZ, length_s)
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    edges = 50 * 2 ** (np.arange(25) / 3)
    bands = [power[(hz >= low) & (hz < high)].sum() for low, high in pairwise(edges)]
    return 10 * np.log10(np.array(bands) / sum(bands) + 1e-6)


# Frames and boxes


@pytest.mark.parametrize("category", sorted(INSTRUMENTS))
def test_a_box_holds_every_pixel_that_the_instrument_changes_and_touches_them_on_all_sides(
    category,
):
    config = SMALL.model_copy(update={"silent_other": 0.0})
    for scene in range(3):
        take = demo.shoot(solo(category), scene, config, RATE_HZ, 1)
        empty = demo.shoot(solo(category), scene, config, RATE_HZ, 1, shown=False)
        for time_s, _, (x, y, w, h) in take.boxes:
            frame = round(time_s * config.fps)
            changed = np.abs(take.frames[frame].astype(int) - empty.frames[frame]).max(2) > 24
            rows, columns = np.nonzero(changed)
            left, top, right, bottom = np.array([x, y, x + w, y + h]) * [128, 96, 128, 96]
            assert left <= columns.min()
            assert columns.max() < right
            assert top <= rows.min()
            assert rows.max() < bottom
            # Where instrument and background are equally dark, a side may seem too loose.
            slack = [
                columns.min() - left,
                right - 1 - columns.max(),
                rows.min() - top,
                bottom - 1 - rows.max(),
            ]
            assert np.median(slack) <= 2


def test_the_silent_instrument_is_visible_and_has_no_box():
    config = SMALL.model_copy(update={"silent_other": 1.0})
    players = demo.cast(solo("tuba"), config, np.random.default_rng(0))
    assert [bool(player.notes) for player in players] == [False, True]
    boxed = {category for _, category, _ in demo.shoot(solo("tuba"), 0, config, RATE_HZ, 1).boxes}
    assert boxed == {"tuba"}


def test_both_instruments_of_a_duet_are_boxed_and_stand_side_by_side():
    video = DemoVideo("two", "duet", ("trumpet", "tuba"))
    players = demo.cast(video, SMALL, np.random.default_rng(1))
    assert all(player.notes for player in players)
    take = demo.shoot(video, 0, SMALL, RATE_HZ, 1)
    centers: dict[str, list[float]] = {"trumpet": [], "tuba": []}
    for _, category, (x, _, w, _) in take.boxes:
        centers[category].append(x + w / 2)
    assert abs(np.mean(centers["trumpet"]) - np.mean(centers["tuba"])) > 0.15


def test_a_mirrored_pose_mirrors_the_box_about_the_drawing():
    shapes = [
        Shape(rectangle(0, 0, 1, 0.2), (0, 0, 0), 0),
        Shape(rectangle(0, 0, 0.1, 0.6), (0, 0, 0), 0),
    ]
    poses = [Pose(0.5, 0.5, 0.2, 0, mirror) for mirror in (False, True)]
    pictures = [sprite(shapes, matrix_of(shapes, pose, (96, 96)), (96, 96)) for pose in poses]
    plain, mirrored = (np.asarray(picture.getchannel("A")).astype(int) for picture in pictures)
    assert np.abs(plain - mirrored).max() > 200
    assert np.abs(plain[:, ::-1] - mirrored).max() < 130  # edges may fall on other subpixels


@pytest.mark.parametrize("degrees", [0, 90])
def test_a_quarter_turn_exchanges_the_sides_of_the_box(degrees):
    shapes = [Shape(rectangle(-1, -0.25, 1, 0.25), (0, 0, 0), 0)]
    low, high = extent(shapes, turned(degrees, mirror=False))
    np.testing.assert_allclose(high - low, (2, 0.5) if degrees == 0 else (0.5, 2))
    size = (120, 120)
    picture = sprite(shapes, matrix_of(shapes, Pose(0.5, 0.5, 0.09, degrees), size), size)
    box = Placed(picture, 0, 0).box(size)
    np.testing.assert_allclose(box[2:], (0.6, 0.15) if degrees == 0 else (0.15, 0.6), atol=2 / 120)


def test_a_pose_of_a_corner_leaves_little_of_the_instrument_outside():
    shapes = [Shape(rectangle(-1, -1, 1, 1), (0, 0, 0), 0)]
    size = (100, 100)
    picture = sprite(shapes, matrix_of(shapes, Pose(1, 0, 0.16), size), size)
    x, y, w, h = Placed(picture, 0, 0).box(size)
    assert (x + w, y) == (1, 0)
    assert w * h == pytest.approx(0.16 * 0.92**2, abs=0.02)


def test_the_box_follows_the_motion():
    drawing = (
        INSTRUMENTS["violin"]
        .draw(np.random.default_rng(0))
        ._replace(sway=Motion(x=0.5), stroke=Motion())
    )
    background = Image.new("RGBA", (128 + 2 * PAD, 96 + 2 * PAD), (90, 120, 90, 255))
    actor = Actor(drawing, Pose(0.5, 0.5, 0.1, 90), np.array([0.0, 0.4, -0.4]))
    table = grade(np.random.default_rng(0))
    _, (boxes,) = film(background, [actor], np.zeros((3, 2)), table, (128, 96))
    still_y, right_y, left_y = (box[1] + box[3] / 2 for box in boxes)
    assert right_y > still_y + 0.03  # after a quarter turn, the drawing's x points down
    assert left_y < still_y - 0.03


@pytest.mark.parametrize(("body_x", "part_x"), [(0, 9), (9, 0), (9, 9)])
def test_what_moves_out_of_the_frame_is_not_in_the_box(body_x, part_x):
    drawing = INSTRUMENTS["violin"].draw(np.random.default_rng(0))
    drawing = drawing._replace(sway=Motion(x=body_x), stroke=Motion(x=part_x - body_x))
    background = Image.new("RGBA", (128 + 2 * PAD, 96 + 2 * PAD), (90, 120, 90, 255))
    actor = Actor(drawing, Pose(0.5, 0.5, 0.1), np.array([0.0, 1.0]))
    table = grade(np.random.default_rng(0))
    frames, ((before, after),) = film(background, [actor], np.zeros((2, 2)), table, (128, 96))
    is_gone = bool(body_x and part_x)
    assert (after is None) == is_gone == (np.ptp(frames[1], (0, 1)) == 0).all()
    assert is_gone or after[2] * after[3] < before[2] * before[3]


def test_instruments_are_anywhere_and_seldom_in_the_middle():
    boxes = [
        (player.pose.x, player.pose.y)
        for category in INSTRUMENTS
        for scene in range(30)
        for player in demo.cast(solo(category), SMALL, np.random.default_rng(scene))[-1:]
    ]
    middle = np.abs(np.array(boxes) - 0.5).max(1) < 0.25
    assert middle.mean() < 0.3


# Sound


@pytest.mark.slow
def test_every_two_categories_differ_more_than_two_melodies_of_one():
    mean, spread = {}, {}
    for category in VOICES:
        spectra = np.stack([spectrum(category, seed) for seed in range(6)])
        mean[category] = spectra.mean(0)
        spread[category] = np.linalg.norm(spectra - mean[category], axis=1).mean()
    for first, second in permutations(VOICES, 2):
        distance = np.linalg.norm(mean[first] - mean[second])
        assert distance > 0.6 * spread[first], (first, second)


@pytest.mark.slow
def test_the_nearest_mean_spectrum_identifies_the_instrument_of_new_melodies():
    names = sorted(VOICES)
    means = []
    for name in names:
        means.append(np.mean([spectrum(name, seed) for seed in range(8)], axis=0))
    right = []
    for index, name in enumerate(names):
        for seed in range(50, 54):
            distances = np.linalg.norm(np.stack(means) - spectrum(name, seed), axis=1)
            right.append(distances.argmin() == index)
    assert np.mean(right) > 0.75


@pytest.mark.parametrize(
    ("category", "pitch"), [("flute", 84), ("acoustic_guitar", 52), ("xylophone", 79), ("tuba", 41)]
)
def test_a_note_sounds_at_its_pitch(category, pitch):
    voice = VOICES[category]._replace(vibrato=(0, 0), breath=0, slide=0)
    sound = play(voice, [Note(0.0, 1.0, pitch, 1.0)], np.random.default_rng(0), 48_000, 1.0)
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 18)) ** 2
    hz = np.fft.rfftfreq(1 << 18, 1 / 48_000)
    near = (hz > 0.9 * hertz(pitch)) & (hz < 1.1 * hertz(pitch))
    assert hz[near][power[near].argmax()] == pytest.approx(hertz(pitch), rel=0.01)


@pytest.mark.parametrize("category", sorted(VOICES))
def test_melodies_stay_in_the_instruments_range_and_in_the_scene(category):
    voice = VOICES[category]
    for seed in range(50):
        notes = melody(voice, np.random.default_rng(seed), 2.0)
        assert notes
        assert all(voice.low <= note.pitch <= voice.high for note in notes)
        assert all(note.start_s + note.duration_s <= 2.0 + 1e-9 for note in notes)


def test_most_seconds_sound():
    seconds = [
        sounding(melody(voice, np.random.default_rng(seed), 2.0), second, second + 1)
        for voice in VOICES.values() for seed in range(40) for second in (0, 1)
    ]  # fmt: skip
    assert 0.9 < np.mean(seconds) < 1


def test_a_room_sets_the_level():
    rng = np.random.default_rng(0)
    sound = play(VOICES["violin"], melody(VOICES["violin"], rng, 2.0), rng, RATE_HZ, 2.0)
    for level_db in (-26, -18):
        wet = room(sound, np.random.default_rng(1), RATE_HZ, level_db)
        assert 10 * np.log10((wet**2).mean()) == pytest.approx(level_db, abs=1)
        assert np.abs(wet).max() < 1


def test_the_loudness_is_zero_between_notes():
    notes = [Note(0.0, 0.3, 60, 1.0), Note(0.6, 0.3, 60, 0.5)]
    np.testing.assert_allclose(level(notes, np.array([0.15, 0.45, 0.75])), [1, 0, 0.5])


# Files


@dataclass
class Corpus:
    folder: Path

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def decoded(self, video_id: str) -> tuple[np.ndarray, np.ndarray]:
        with av.open(str(self.folder / "videos" / f"{video_id}.mp4")) as media:
            pictures = np.stack(
                [frame.to_ndarray(format="rgb24") for frame in media.decode(video=0)]
            )
        with av.open(str(self.folder / "videos" / f"{video_id}.mp4")) as media:
            sound = np.concatenate([frame.to_ndarray() for frame in media.decode(audio=0)], axis=1)
        return pictures, sound


TINY = Demo(solos=1, duets=1, scenes=2, scene_s=1, width=96, height=72, fps=4)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    made = [Corpus(tmp_path_factory.mktemp(f"by-{processes}")) for processes in (1, 2)]
    for processes, corpus in enumerate(made, start=1):
        demo.run(TINY, out=corpus.folder, processes=processes)
    return made


@pytest.mark.slow
def test_the_manifest_lists_every_file_category_after_category(corpora):
    rows = corpora[0].rows("manifest.csv")
    assert [row["video_id"] for row in rows[:2]] == ["demo-accordion-01", "demo-acoustic_guitar-01"]
    assert [row["categories"] for row in rows[:11]] == sorted(INSTRUMENTS)
    assert rows[11] == {
        "video_id": "demo-duet-violin-acoustic_guitar-01",
        "url": "videos/demo-duet-violin-acoustic_guitar-01.mp4",
        "kind": "duet",
        "categories": "violin acoustic_guitar",
    }
    assert {path.name for path in (corpora[0].folder / "videos").iterdir()} == {
        f"{row['video_id']}.mp4" for row in rows
    }


@pytest.mark.slow
def test_boxes_are_of_the_videos_own_categories_inside_the_frame_at_quarters_of_seconds(corpora):
    categories = {
        row["video_id"]: row["categories"].split() for row in corpora[0].rows("manifest.csv")
    }
    boxes = corpora[0].rows("boxes.csv")
    assert {row["video_id"] for row in boxes} == set(categories)
    for row in boxes:
        x, y, w, h = (float(row[side]) for side in "xywh")
        assert row["category"] in categories[row["video_id"]]
        assert 4 * float(row["time_s"]) in range(8)
        assert x >= 0 < w
        assert y >= 0 < h
        assert x + w <= 1 + 1e-5
        assert y + h <= 1 + 1e-5


@pytest.mark.slow
def test_the_files_are_h264_and_aac_of_the_configured_length(corpora):
    kinds = set()
    for row in corpora[0].rows("manifest.csv"):
        with av.open(str(corpora[0].folder / row["url"])) as media:
            picture, sound = media.streams.video[0], media.streams.audio[0]
            assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
            assert (picture.width, picture.height, float(picture.average_rate)) == (96, 72, 4)
            assert float(picture.duration * picture.time_base) == pytest.approx(2, abs=0.01)
            assert float(sound.duration * sound.time_base) == pytest.approx(2, abs=0.05)
            kinds.add((sound.rate, sound.channels))
    assert kinds >= {(44_100, 1), (48_000, 1)} or kinds >= {(44_100, 2), (48_000, 2)}


@pytest.mark.slow
def test_the_decoded_file_has_the_filmed_frames_and_the_recorded_sound(corpora):
    row = corpora[0].rows("manifest.csv")[1]
    pictures, sound = corpora[0].decoded(row["video_id"])
    takes = [
        demo.shoot(solo("acoustic_guitar", row["video_id"]), scene, TINY, RATE_HZ, 1)
        for scene in (0, 1)
    ]
    filmed = np.concatenate([take.frames for take in takes])
    # The colors have half the resolution, and the video is compressed.
    assert np.abs(pictures.astype(int) - filmed).mean() < 12
    assert 10 * np.log10((sound**2).mean()) == pytest.approx(-20, abs=8)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(corpora):
    single, parallel = corpora
    for name in ("manifest.csv", "boxes.csv"):
        assert (single.folder / name).read_bytes() == (parallel.folder / name).read_bytes()
    for row in single.rows("manifest.csv"):
        for first, second in zip(
            single.decoded(row["video_id"]), parallel.decoded(row["video_id"]), strict=True
        ):
            np.testing.assert_array_equal(first, second)


def test_another_seed_is_another_corpus():
    first, second = (demo.shoot(solo("cello"), 0, Demo(seed=seed), RATE_HZ, 1) for seed in (0, 1))
    assert np.abs(first.frames.astype(int) - second.frames).mean() > 5
    assert not np.allclose(first.sound, second.sound)


def test_an_ffmpeg_that_cannot_encode_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "binary", lambda: "false")
    frames = np.zeros((4, 72, 96, 3), np.uint8)
    with pytest.raises(UserError, match=r"false could not write a\.mp4"):
        demo.encode(tmp_path / "a.mp4", frames, 4, np.zeros((RATE_HZ, 1)), RATE_HZ)
    assert not list(tmp_path.iterdir())
