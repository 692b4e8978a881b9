"""Figure of a paired comparison of two systems: differences with intervals, per size and class."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from spm.report import plotting
from spm.score.comparison import ALL, MapDifference

MOST_CLASSES = 20  # of a figure: those with the most frames


def chosen_parts(
    differences: Sequence[MapDifference], protocol: str, figure: str
) -> list[MapDifference]:
    """All frames, the sizes, and the classes with the most frames, of one figure."""
    found = [each for each in differences if (each.protocol, each.figure) == (protocol, figure)]
    classes = [each for each in found if each.part.startswith("class ")]
    most = sorted(classes, key=lambda each: (-each.frames, each.part))[:MOST_CLASSES]
    return [each for each in found if each not in classes] + most


def draw(differences: Sequence[MapDifference], names: tuple[str, str]) -> Figure:
    """A line per part with the difference and its 95 % interval; the first one is of all frames.

    Parameters
    ----------
    differences : sequence of MapDifference
        Of one figure under one protocol, as `chosen_parts` gives them.
    names : pair of str
        Names of the two systems.
    """
    with mpl.rc_context(plotting.RC):
        figure, axes = plt.subplots(figsize=(6.5, 1.2 + 0.26 * len(differences)))
        for row, each in enumerate(differences):
            color = plotting.COLORS[0 if each.part == ALL else 1 if "size" in each.part else 2]
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [row, row], color=color, linewidth=2)
            axes.plot([each.difference], [row], "o", color=color, markersize=5)
        axes.axvline(0, color="0.5", linewidth=0.8)
        labels = [f"{plotting.label(each.part)} ({each.frames})" for each in differences]
        axes.set_yticks(range(len(differences)), labels)
        axes.invert_yaxis()
        first = differences[0]
        axes.set_xlabel(f"Δ {first.figure} under {first.protocol}, 95 % interval over videos")
        axes.set_title(f"{names[0]} − {names[1]}", loc="left")
        plt.close(figure)
    return figure
