"""The table between the classes of AudioSet and ImageNet."""

import pytest

from spm.learn import efficientnet, yamnet
from spm.learn.sounding_things import Thing, candidates, match, parse, things

SOUNDS, IMAGES = yamnet.class_names(), efficientnet.class_names()


def thing(name: str) -> Thing:
    """The thing that a category names."""
    index = match(name)
    assert index is not None, name
    return things()[index]


def row(**cells: str) -> dict[str, str]:
    """A row of the table."""
    empty = dict.fromkeys(("aliases", "audioset", "parents", "imagenet"), "")
    return {"thing": "flute", **empty, "audioset": "Flute", **cells}


@pytest.mark.parametrize(
    ("name", "sound", "image"),
    [
        ("violin", "Violin, fiddle", "violin"),
        ("dog", "Bark", "Chihuahua"),
        ("dog", "Bark", "Mexican hairless"),
        ("typewriter", "Typewriter", "typewriter keyboard"),
        ("vacuum cleaner", "Vacuum cleaner", "vacuum"),
        ("sewing_machine", "Sewing machine", "sewing machine"),
        ("lawn mower", "Lawn mower", "lawn mower"),
        ("toilet", "Toilet flush", "toilet seat"),
        ("machine_gun", "Machine gun", "assault rifle"),
        ("train", "Train horn", "steam locomotive"),
    ],
)
def test_a_thing_has_the_classes_of_its_sound_and_of_its_image(name, sound, image):
    assert SOUNDS.index(sound) in thing(name).audioset
    assert IMAGES.index(image) in thing(name).imagenet


def test_ranges_contain_all_breeds_and_no_wolf():
    assert thing("dog").imagenet == tuple(range(151, 269))
    assert IMAGES.index("timber wolf") not in thing("dog").imagenet


@pytest.mark.parametrize("name", ["cough", "baby", "speech", "people booing", "door", "erhu"])
def test_imagenet_has_no_class_of_people_and_of_some_instruments(name):
    assert thing(name).imagenet == ()


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("acoustic_guitar", "acoustic_guitar"),
        ("Acoustic-Guitar", "acoustic_guitar"),
        ("guitar", "acoustic_guitar"),
        ("playing bass guitar", "bass_guitar"),
        ("electric_bass", "bass_guitar"),
        ("viola", "violin"),
        ("xylophone", "marimba"),
        ("congas", "drum"),
        ("dogs barking", "dog"),
        ("mouse clicking", "computer_mouse"),
        ("mouse squeaking", "rodent"),
        ("fire truck siren", "fire_engine"),
        ("typing on computer keyboard", "computer_keyboard"),
        ("washing_machine", "washing_machine"),
    ],
)
def test_a_category_is_the_thing_with_the_longest_name_in_it(category, name):
    assert thing(category).name == name


def test_categories_of_music_and_its_extension_have_things():
    """MUSIC-21's categories (Zhao et al., ICCV 2019)."""
    names = (
        "accordion acoustic_guitar bagpipe banjo bassoon cello clarinet congas drum electric_bass"
        " erhu flute guzheng piano pipa saxophone trumpet tuba ukulele violin xylophone"
    )
    assert all(match(name) is not None for name in names.split())


@pytest.mark.parametrize("category", ["wind noise", "carpet", "categorical", ""])
def test_other_words_are_no_thing(category):
    assert match(category) is None


def test_every_class_of_a_sound_with_a_source_is_in_the_table():
    listed = set()
    for each in things():
        listed |= {*each.audioset, *each.parents}
    left_out = {name for number, name in enumerate(SOUNDS) if number not in listed}
    assert {"Silence", "White noise", "Wind", "Rain", "Jazz", "Echo"} <= left_out
    assert not left_out & {"Speech", "Bark", "Door", "Violin, fiddle", "Music"}


@pytest.mark.slow
def test_pairs_of_names_with_a_common_word_are_candidates():
    pairs = candidates()
    assert ("Sewing machine", "sewing machine") in pairs
    assert ("Bee, wasp, etc.", "bee") in pairs
    assert ("Piano", "grand piano") in pairs


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(audioset="Fluete")], "flute names 'Fluete', which is not a class"),
        ([row(imagenet="flute; flute")], "flute names a class twice"),
        ([row(audioset="", parents="Music")], "flute has no class of AudioSet"),
        ([row(), row(thing="piccolo", aliases="flute")], "flute: expected each name once"),
    ],
)
def test_a_wrong_table_is_an_error(rows, message):
    with pytest.raises(ValueError, match=message):
        parse(rows)


def test_a_row_gives_indices():
    (flute,) = parse([row(parents="Music", imagenet="cello .. cellular telephone; flute")])
    assert flute.audioset == (SOUNDS.index("Flute"),)
    assert flute.parents == (SOUNDS.index("Music"),)
    assert [IMAGES[index] for index in flute.imagenet] == ["cello", "cellular telephone", "flute"]
