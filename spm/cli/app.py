"""`spm app`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.localize import Device, Weights

EXAMPLES = """\
  spm app
  spm app --weights results/fusion/train/spm --max-s 600
  spm app --no-browser --port 7860
"""

Results = Annotated[Path, typer.Option(help="Folder of results; the page lists its networks.")]
MaxSeconds = Annotated[int, typer.Option(min=1, help="Most seconds of a video that are used.")]
MaxSize = Annotated[int, typer.Option(min=1, help="Largest video that can be uploaded, in MB.")]
Host = Annotated[
    str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines open the page.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free port.")]
Browse = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")]


def app(
    weights: Weights = None,
    results: Results = Path("results"),
    device: Device = "auto",
    max_s: MaxSeconds = 3600,
    max_mb: MaxSize = 2000,
    host: Host = "127.0.0.1",
    port: Port = 0,
    browse: Browse = True,
) -> None:
    """Open a page that localizes the sound of videos that you upload or record.

    It needs pip install 'sound-promotion[app]'. Nothing is sent to other machines. Videos and
    results are deleted when the command ends.
    """
    from spm.inference import app as page

    networks = page.find_networks(results, weights)
    page.serve(
        networks, device=device, max_s=max_s, max_mb=max_mb, host=host, port=port, browse=browse
    )
