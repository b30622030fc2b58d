"""Simulated layouts as the cameras that are read from their files."""

import json
from pathlib import Path
from typing import Any

from fieldfit.geometry.cameras import Camera
from fieldfit.io.cameras import read_cameras


def cameras_of(layout: dict[str, Any], folder: Path) -> list[Camera]:
    """Through a camera file in `folder`."""
    (folder / "cameras.json").write_text(json.dumps(layout))
    return read_cameras(folder / "cameras.json")
