"""Nights of a run: a magis entry whose `raw` holds `{night}` stands for one run a night, named RUN-YYYY-MM-DD.

A night's run is a run like any other: its own folder of results, its own blocks, its own products.
"""

import glob
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from fieldfit.types import InputError

NIGHT = "{night}"
_DATE = r"\d{4}-\d{2}-\d{2}"


def is_nightly(raw: Path) -> bool:
    """Whether the path stands for a file or folder a night."""
    return NIGHT in str(raw)


def is_night(text: str) -> bool:
    """Whether the text is a date, YYYY-MM-DD."""
    try:
        return bool(re.fullmatch(_DATE, text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def nights_below(raw: Path) -> list[str]:
    """Dates for which the file or folder is there, ascending; a name that is no date is left alone."""
    parts = str(raw).split(NIGHT)
    pattern = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]".join(glob.escape(part) for part in parts)
    wanted = re.compile(re.escape(parts[0]) + f"({_DATE})" + r"\1".join(re.escape(part) for part in parts[1:]))
    found = (wanted.fullmatch(path) for path in glob.iglob(pattern))
    return sorted({match[1] for match in found if match and is_night(match[1])})


def run_of(name: str, night: str) -> str:
    """Name of a night's run: `cloud`, `2026-11-25` -> `cloud-2026-11-25`."""
    return f"{name}-{night}"


def at_night(keys: Any, night: str) -> Any:
    """The plain values of an entry with the date in place of `{night}`, in every text."""
    if isinstance(keys, dict):
        return {key: at_night(value, night) for key, value in keys.items()}
    if isinstance(keys, list):
        return [at_night(value, night) for value in keys]
    return keys.replace(NIGHT, night) if isinstance(keys, str) else keys


def check_names(names: Iterable[str], nightly: Iterable[str]) -> None:
    """Raises InputError for a run whose name is also that of another run's night."""
    for name in names:
        for other in nightly:
            if name.startswith(f"{other}-") and is_night(name.removeprefix(f"{other}-")):
                raise InputError(f"magis.{name}: its name is also that of a night of the run '{other}', expected another one")
