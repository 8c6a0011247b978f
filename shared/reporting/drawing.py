"""How every figure looks, and how it gets onto the page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with colour-vision deficiency can tell apart.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY, BLACK = "#CC79A7", "#56B4E9", "#7f7f7f", "#222222"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, GREY)

_STYLE_FILE = Path(__file__).with_name("house.mplstyle")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the project's style."""
    with mpl.rc_context(fname=_STYLE_FILE):
        yield


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Return a figure of width x height inches and its axes, row by row."""
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def as_svg(figure: Figure) -> str:
    """Return a figure as a ``data:`` address: one element, whose inner ids disturb no other."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_address(buffer.getvalue(), "image/svg+xml")


def as_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure that is made of pixels as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def data_address(content: bytes, kind: str) -> str:
    """Return a picture as an address that holds it."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()
