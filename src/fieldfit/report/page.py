"""A self-contained HTML page: pictures inside, no script, readable on a phone and on paper."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fieldfit.report.picture import Picture, Table

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
.verdict { border-left: 6px solid; border-radius: 4px; padding: .5rem 1rem; margin: 1rem 0; background: #f5f7f9 } .verdict p { margin: .1rem 0 }
.good { border-color: #2f7d4f } .bad { border-color: #b3392f } .bad strong { color: #b3392f } .good strong { color: #2f7d4f }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: .8rem 1.2rem; align-items: start }
.small h3 { margin: .6rem 0 .1rem; font-size: 1rem } .small p { font-size: .85rem; margin: .1rem 0 .3rem }
@media (max-width: 640px) { section > figure { overflow-x: auto } section > figure img { max-width: none; width: 640px } }
"""


@dataclass(frozen=True)
class Section:
    """One entry of the configuration: its pictures, and the products that they were made from.

    rows: pictures that stand beside each other, before the others.
    """

    anchor: str
    title: str
    pictures: Sequence[Picture]
    products: Sequence[tuple[str, str]]  # (path, provenance line)
    rows: Sequence[Sequence[Picture | Table]] = ()


@dataclass(frozen=True)
class Verdict:
    """What a page says first: whether all is well, in a word and in lines."""

    good: bool
    word: str
    lines: Sequence[str]


def page(title: str, intro: str, sections: Sequence[Section], verdict: Verdict | None = None) -> str:
    """The page as HTML text."""
    links = "".join(f'<a href="#{html.escape(s.anchor)}">{html.escape(s.title)}</a>' for s in sections)
    body = "".join(_section(s) for s in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><header><h1>{html.escape(title)}</h1>"
        f'<p class="soft">{html.escape(intro)}</p><nav>{links}</nav></header>{_verdict(verdict) if verdict else ""}{body}</body></html>\n'
    )


def _verdict(verdict: Verdict) -> str:
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in verdict.lines)
    return f'<div class="verdict {"good" if verdict.good else "bad"}"><p><strong>{html.escape(verdict.word)}</strong></p>{lines}</div>'


def _section(section: Section) -> str:
    pictures = "".join(f'<div class="small">{"".join(f"<div>{_picture(p)}</div>" for p in row)}</div>' for row in section.rows)
    pictures += "".join(_picture(p) for p in section.pictures)
    rows = "".join(f"<tr><td><code>{html.escape(path)}</code></td><td>{html.escape(note)}</td></tr>" for path, note in section.products)
    products = f'<h3>Products</h3><div class="wide"><table>{rows}</table></div>' if rows else ""
    return f'<section id="{html.escape(section.anchor)}"><h2>{html.escape(section.title)}</h2>{pictures}{products}</section>'


def _picture(picture: Picture | Table) -> str:
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in picture.figures)
    table = f'<div class="wide"><table>{rows}</table></div>' if rows else ""
    title = html.escape(picture.title)
    drawn = f'<figure><img alt="{title}" src="data:image/png;base64,{_png(picture.figure)}"></figure>' if isinstance(picture, Picture) else ""
    return f"<h3>{title}</h3><p>{html.escape(picture.caption)}</p>{table}{drawn}"


def _png(figure: Figure) -> str:
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return base64.b64encode(stream.getvalue()).decode()
