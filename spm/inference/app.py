"""A page for `spm localize`: upload or record a video, and see where its sound comes from.

`spm app` serves it with Gradio. Nothing is sent to other machines: Gradio's reports to its makers
are off, and the browser refuses requests of the page to other hosts. Videos and results are
temporary files.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from starlette.applications import Starlette

from spm.base import environment
from spm.base.errors import UserError
from spm.base.printable import printable
from spm.boxes.review import web
from spm.inference import model, overlay, sheet, sources, writing
from spm.inference.localization import BOX_THRESHOLD, SIDES
from spm.inference.localize import MEMORY_MB, Localizer

TITLE = "Which pixels of this video make the sound?"
ZERO_SHOT = "zero-shot, needs no training"
FIRST_S = 60  # length that is used, until the user enters another one
WAITING = 8  # videos that may wait; one is localized at a time
CLEANING_S, KEPT_S = 60, 3600  # how often old files are deleted, and their age
ABOUT = f"""# {TITLE}
Upload a video with sound, or record one. It stays on the machine that serves this page, which
deletes it after {KEPT_S // 3600} h and when it stops.
"""
HEADERS = web.HEADERS | {  # Gradio's page has scripts and styles in its HTML
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' blob: data:;"
    " frame-ancestors 'none'"
}
FILES = "Files: film, sheet of frames, maps (Parquet), seconds (JSON)"
# Of the columns of the seconds.
WIDTHS: list[str | int] = ["60px", "80px", "160px", "400px", "200px"]
STYLE = 'button[aria-label="Trim video to selection"] {display: none}'  # loads code of another host
FONTS = ("system-ui", "sans-serif")  # of the visitor's machine

# Text, film, sheet, seconds and files of a video
Result = tuple[str, str | None, str | None, pd.DataFrame | None, list[str] | None]


def find_networks(results: Path, chosen: str | None) -> dict[str, str | None]:
    """The networks of the page by the names that it shows; the first one is `chosen`.

    Parameters
    ----------
    results : Path
        The workflow's folder of results, whose runs are listed.
    chosen : str, optional
        A network as `Localizer` takes it; None: the zero-shot network.
    """
    runs = sorted(results.glob(f"fusion/train/*/{model.WEIGHTS}"))
    networks = [chosen, None, *(str(path.parent) for path in runs)]
    return {name or ZERO_SHOT: name for name in networks}


@lru_cache(maxsize=1)
def load(network: str | None, device: str) -> Localizer:
    """The network that was used last stays in memory."""
    return Localizer(network, device)


def localize(
    network: str | None,
    device: str,
    path: str | None,
    max_s: int,
    threshold: float,
    on_share: Callable[[float], object],
) -> Iterator[Result]:
    """Give what the page shows of a video, once; the files exist until then.

    Parameters
    ----------
    network, device : str, optional
        As of `Localizer`.
    path : str, optional
        A video file.
    max_s : int
        Use only the first seconds.
    threshold : float
        Score from which a frame has a box.
    on_share : callable
        Called with the share of the work that is done, each time it grew by a percent.
    """
    video = Path(path or "")
    with TemporaryDirectory() as folder:
        try:
            if path is None:
                raise UserError("there is no video: upload or record one")
            yield _localize(load(network, device), video, Path(folder), max_s, threshold, on_share)
        except UserError as error:
            reason = printable(str(error)).replace(str(video), video.name)
            yield f"Error: {reason}", None, None, None, None


def _localize(
    localizer: Localizer,
    video: Path,
    folder: Path,
    max_s: int,
    threshold: float,
    on_share: Callable[[float], object],
) -> Result:
    """Write all files of `spm localize` into a folder."""
    length_s = sources.inspect(video, MEMORY_MB).length_s or max_s
    on_progress = _percents(2 * min(length_s, max_s), on_share)  # maps and film
    localization = replace(localizer.localize(video, max_s, on_progress), threshold=threshold)
    maps, page, film = (folder / f"{video.stem}.{suffix}" for suffix in ("parquet", "png", "mp4"))
    document = writing.write(localization, maps)
    sheet.write(localization, page)
    overlay.write(localization, film, max_s, on_progress)
    text = f"{writing.summary(document)}\nnetwork: {localization.network}"
    if length_s >= max_s + 1:
        text += f"\nonly the first {max_s} of {length_s:.0f} s were used"
    files = [str(path) for path in (film, page, maps, maps.with_suffix(".json"))]
    return text, files[0], files[1], seconds(document), files


def _percents(total_s: float, on_share: Callable[[float], object]) -> Callable[[float], object]:
    """Count seconds, and call `on_share` when another percent of them is done."""
    done_s = 0.0

    def on_progress(more_s: float) -> None:
        nonlocal done_s
        before, done_s = int(100 * done_s / total_s), done_s + more_s
        if (percent := min(int(100 * done_s / total_s), 100)) > before:
            on_share(percent / 100)

    return on_progress


def seconds(document: Mapping[str, Any]) -> pd.DataFrame:
    """A row per second, as the page shows it, from the content of the JSON file."""
    return pd.DataFrame([_cells(row) for row in document["seconds"]])


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {"s": row["start_s"], "score": f"{row['score']:.2f}"}
    if "objects" in row:
        cells["category"] = ", ".join(found["category"] for found in row["objects"])
    if "heard" in row:
        cells["heard"] = ", ".join(f"{each['class']} {each['score']:.2f}" for each in row["heard"])
    sides = [row[side] for side in SIDES]
    cells["box: x, y, w, h"] = "" if None in sides else " ".join(f"{side:.2f}" for side in sides)
    return cells


def build(networks: Mapping[str, str | None], device: str, max_s: int) -> Any:
    """The page, a `gradio.Blocks`.

    Parameters
    ----------
    networks : mapping
        Networks by the names that the page shows.
    device : str
        As of `Localizer`.
    max_s : int
        Largest number of seconds of a video that can be used.
    """
    import gradio as gr

    tracker = gr.Progress()

    def run(
        path: str | None, name: str, used_s: int, threshold: float, progress: Any = tracker
    ) -> Iterator[tuple[Any, ...]]:
        on_share = partial(progress, desc="localize")
        on_share(0)
        for text, *shown in localize(networks[name], device, path, used_s, threshold, on_share):
            yield text, *[gr.update(value=each, visible=each is not None) for each in shown]

    with gr.Blocks(title=TITLE, delete_cache=(CLEANING_S, KEPT_S)) as page:
        gr.Markdown(ABOUT)
        with gr.Row():
            with gr.Column():
                inputs = _inputs(list(networks), max_s)
                button = gr.Button("Localize", variant="primary")
            with gr.Column():
                text = gr.Textbox(label="Result", lines=4, interactive=False)
                film = gr.Video(visible=False, label="Film with the heat map", buttons=[])
        sheet_of_frames = gr.Image(visible=False, show_label=False, buttons=["fullscreen"])
        table = gr.Dataframe(
            visible=False, label="Seconds", wrap=True, interactive=False, column_widths=WIDTHS
        )
        files = gr.File(visible=False, label=FILES, interactive=False)
        button.click(run, inputs, [text, film, sheet_of_frames, table, files])
    return page.queue(max_size=WAITING)


def _inputs(networks: list[str], max_s: int) -> list[Any]:
    import gradio as gr

    first_s, label = min(FIRST_S, max_s), f"Seconds of the video that are used, at most {max_s}"
    return [
        gr.Video(label="Video", sources=["upload", "webcam"]),
        gr.Dropdown(networks, label="Network"),
        gr.Number(first_s, label=label, minimum=1, maximum=max_s, precision=0),
        gr.Slider(0, 1, BOX_THRESHOLD, step=0.05, label="Score from which a frame has a box"),
    ]


def serve(
    networks: Mapping[str, str | None],
    *,
    device: str,
    max_s: int,
    max_mb: int,
    host: str,
    port: int,
    browse: bool,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    networks, device, max_s
        As of `build`. The first network is loaded before the page opens.
    max_mb : int
        Largest file that can be uploaded, in MB.
    host, port, browse
        As of `spm.boxes.review.web.run`.

    Raises
    ------
    UserError
        When Gradio isn't installed, the network can't be loaded, or the port is not free.
    """
    access = web.Access.generate()
    with (
        TemporaryDirectory(prefix="spm-app-") as folder,
        environment.restored(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=folder),
    ):
        try:
            import gradio as gr
        except ImportError as error:
            raise UserError("the page needs Gradio: pip install 'sound-promotion[app]'") from error
        load(next(iter(networks.values())), device)
        app = Starlette(middleware=web.middleware(access, HEADERS, host))
        gr.mount_gradio_app(
            app,
            build(networks, device, max_s),
            f"/{access.folder}",
            theme=gr.themes.Default(font=FONTS, font_mono=FONTS),
            css=STYLE,
            max_file_size=max_mb * 1_000_000,
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
        )
        web.run(app, access, TITLE, Path("spm-app"), host=host, port=port, browse=browse)
