"""Parts of a page that a script owns: text between <!-- begin NAME --> and <!-- end NAME -->."""

from pathlib import Path


def write_between(page: Path, name: str, text: str) -> None:
    """Put `text` between the marks, which are appended where the page has none."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    whole = page.read_text() if page.exists() else ""
    if begin not in whole:
        whole += f"\n{begin}\n{end}\n"
    before, rest = whole.split(begin, 1)
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{rest.split(end, 1)[1]}")
