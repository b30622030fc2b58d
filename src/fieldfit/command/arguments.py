"""What the verbs' arguments have in common: how a verb is added, and what the shell completes a product by."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

NETCDF = {"bash": "_fieldfit_product_files", "zsh": "_files -g '*.nc'", "tcsh": "f:*.nc"}
FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # shtab.FILE, without waiting for its import
FOLDERS = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}


def add_verb(verbs: Any, name: str, told: str, examples: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """A verb with one line of help, examples below its options, and what it runs."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=told,
        description=told[0].upper() + told[1:] + ".",
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.set_defaults(run=run)
    return verb


def add_path(verb: argparse._ActionsContainer, name: str, told: str, complete: dict[str, str], **more: Any) -> None:
    """An argument or option that is a path; complete: what shtab completes it by."""
    verb.add_argument(name, type=Path, help=told, **more).complete = complete  # type: ignore[attr-defined]
