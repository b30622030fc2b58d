"""Simulated layouts as the cameras that are read from their files."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fieldfit.geometry.cameras import Camera
from fieldfit.io.cameras import read_cameras


def cameras_of(layout: dict[str, Any]) -> list[Camera]:
    """Through a camera file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.json"
        path.write_text(json.dumps(layout))
        return read_cameras(path)
