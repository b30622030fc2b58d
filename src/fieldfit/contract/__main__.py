"""Print the reference page `docs/products.md` from the tables: `python -m fieldfit.contract`."""

from pathlib import Path

from fieldfit.contract.coordinates import COORDINATES
from fieldfit.contract.products import PRODUCTS
from fieldfit.contract.where import WHERE


def reference_page() -> str:
    """The products as a Markdown page."""
    lines = ["# Products", "", "Printed from `fieldfit.contract`; do not edit: `uv run python -m fieldfit.contract`.", ""]
    for kind, variables in PRODUCTS.items():
        lines += [f"## {kind}: `results/{WHERE[kind]}`", "", "| variable | dimensions | units | meaning |", "|---|---|---|---|"]
        for name, v in variables.items():
            units = ", ".join(f"{f.value} {f.name}" for f in v.flags) if v.flags else ("text" if v.text else v.units)
            lines.append(f"| {name}{'' if v.required else ' (optional)'} | {v.dims} | {units} | {v.meaning} |")
        lines.append("")
    lines += [
        "## Dimensions",
        "",
        "A dimension with text labels counts 0, 1, ... in the file and has its labels in `{name}_label` (CF wants numbers in a coordinate).",
        "",
        "| name | units | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {'text' if v.text else v.units} | {v.meaning} |" for name, v in COORDINATES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path("docs/products.md").write_text(reference_page())
