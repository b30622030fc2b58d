"""One picture of the report: a title, a sentence that says what to see, and the figure."""

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """figure: drawn on a `matplotlib.figure.Figure` of its own (no pyplot state), None for a table alone.

    figures: rows of (quantity, value) for the table beside it.
    """

    title: str
    caption: str
    figure: Figure | None
    figures: tuple[tuple[str, str], ...] = ()
