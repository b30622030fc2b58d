"""A self-contained HTML page: pictures inside, no script, readable on a phone and on paper."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg

from fieldfit.report.picture import Picture

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6877; --line: #dde3ea; --accent: #14638c; }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); margin: 0 auto; max-width: 1080px; padding: 0 1rem 4rem }
header { border-bottom: 2px solid var(--accent); padding: 1.6rem 0 .8rem }
h1 { margin: 0; font-size: 1.7rem } h2 { margin: 2.6rem 0 .2rem; color: var(--accent) } h3 { margin: 1.6rem 0 .2rem }
p { margin: .3rem 0 .8rem } .soft { color: var(--soft); font-size: .9rem } nav a { margin-right: 1rem; color: var(--accent) }
figure { margin: 0 } img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
td, th { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
code { font-size: .85em; overflow-wrap: anywhere }
"""


@dataclass(frozen=True)
class Section:
    """One entry of the configuration: its pictures, and the products that they were made from."""

    anchor: str
    title: str
    pictures: Sequence[Picture]
    products: Sequence[tuple[str, str]]  # (path, provenance line)


def page(title: str, intro: str, sections: Sequence[Section]) -> str:
    """The page as HTML text."""
    links = "".join(f'<a href="#{html.escape(s.anchor)}">{html.escape(s.title)}</a>' for s in sections)
    body = "".join(_section(s) for s in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><header><h1>{html.escape(title)}</h1>"
        f'<p class="soft">{html.escape(intro)}</p><nav>{links}</nav></header>{body}</body></html>\n'
    )


def _section(section: Section) -> str:
    pictures = "".join(_picture(p) for p in section.pictures)
    rows = "".join(f"<tr><td><code>{html.escape(path)}</code></td><td>{html.escape(note)}</td></tr>" for path, note in section.products)
    return (
        f'<section id="{html.escape(section.anchor)}"><h2>{html.escape(section.title)}</h2>{pictures}'
        f'<h3>Products</h3><div class="wide"><table>{rows}</table></div></section>'
    )


def _picture(picture: Picture) -> str:
    stream = io.BytesIO()
    FigureCanvasAgg(picture.figure)
    picture.figure.savefig(stream, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    data = base64.b64encode(stream.getvalue()).decode()
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in picture.figures)
    table = f'<div class="wide"><table>{rows}</table></div>' if rows else ""
    return (
        f"<h3>{html.escape(picture.title)}</h3><p>{html.escape(picture.caption)}</p>{table}"
        f'<figure><img alt="{html.escape(picture.title)}" src="data:image/png;base64,{data}"></figure>'
    )
