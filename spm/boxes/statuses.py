"""Statuses of boxes and images. The tables store their values."""

from enum import StrEnum


class BoxStatus(StrEnum):
    """Status of a box in the table of annotations: `kept`, or the reason why it does not count."""

    KEPT = "kept"
    LOW_SCORE = "low-score"  # the detector's score is not above annotations.min_score
    OTHER_CATEGORY = "other-category"  # the manifest does not list this category for the video
    SILENT = "silent"  # the clip is too quiet: nothing in it can sound
    OVERLAP = "overlap"  # a better box of the same category covers nearly the same area
    SURPLUS = "surplus"  # the frame already has enough boxes of the category
    REJECTED = "rejected"  # by a reviewer
    UNKNOWN_VIDEO = "unknown-video"  # the manifest does not list the video of a given box
    UNMATCHED = "unmatched"  # no clip has a frame near the time of a given box
    NOTHING_SOUNDS = "nothing-sounds"  # not a box: a person saw nothing that sounds in the frame
    NOT_SCORABLE = "not-scorable"  # counts of categories only: no class of the detector means it


class ImageStatus(StrEnum):
    """Status of an image of Open Images: `ok`, or the reason why it is not used."""

    WANTED = "wanted"  # before the download; no table has it
    OK = "ok"
    GONE = "gone"  # the server does not have it
    BAD = "bad"  # it is not a complete JPEG
    RETRY = "retry"  # the download failed, and may succeed in the next run
    POLICY = "policy"  # a setting of the section openimages excludes it
    SURPLUS = "surplus"  # its classes have max_per_class images without it


class ImageBoxStatus(StrEnum):
    """Status of a box of Open Images: `kept`, or the reason why no detector is trained on it."""

    KEPT = "kept"
    GROUP_OF = "group-of"
    DEPICTION = "depiction"
    INSIDE = "inside"
    TRUNCATED = "truncated"
    OCCLUDED = "occluded"
    MALFORMED = "malformed"  # it has no area, or leaves the image
    NO_IMAGE = "no-picture"  # its image is not used, or can't be downloaded
