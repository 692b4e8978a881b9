"""Which categories of the manifest the names of boxes mean: of given ones, and of a detector's."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from spm.boxes.formats.frames import BoxRow


def name_in_video(category: str, listed: Collection[str], class_map: Mapping[str, str]) -> str:
    """The manifest's name of a given box's category; a name that the video lists stays.

    >>> name_in_video("guitar", ["acoustic_guitar"], {"guitar": "acoustic_guitar"})
    'acoustic_guitar'
    """
    return category if category in listed else class_map.get(category, category)


@dataclass(frozen=True)
class CategoryMap:
    """Which categories of the manifest the classes of a detector mean."""

    class_map: Mapping[str, str]
    detectable: frozenset[str]  # categories that a class of the detector means
    any_class: bool

    @classmethod
    def of(
        cls, classes: Iterable[str], class_map: Mapping[str, str], *, any_class: bool
    ) -> "CategoryMap":
        """The categories of a detector with these classes."""
        detectable = frozenset(class_map.get(name, name) for name in classes)
        return cls(class_map, detectable, any_class)

    def category(self, box: BoxRow, listed: Sequence[str]) -> str:
        """The category of a detection, in a video with the listed categories."""
        category = self.class_map.get(box["category"], str(box["category"]))
        undetectable = [name for name in listed if name not in self.detectable]
        # The only listed category without a class explains a box that fits no listed category.
        if self.any_class and len(undetectable) == 1 and category not in listed:
            return undetectable[0]
        return category
