"""Triangle meshes in binary STL files (3D Systems, 1989): 80 bytes of header, the number of triangles, 50 bytes a triangle."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.types import InputError

HEADER = 84
MOST_BYTES = 512 * 1024**2
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> NDArray[np.float64]:
    """Corners of the triangles (triangle, corner, 3), in the file's own units, anticlockwise seen from outside.

    Raises InputError naming the file where it is absent, not a binary STL, of another length than its header says, or holds values that are
    no numbers.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not HEADER < size <= MOST_BYTES:
            raise InputError(f"{path}: {size} bytes, expected a binary STL of {HEADER + TRIANGLE.itemsize} bytes to {MOST_BYTES // 1024**2} MiB")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a mesh in a binary STL") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    number = int.from_bytes(content[80:HEADER], "little")
    if len(content) != HEADER + number * TRIANGLE.itemsize:
        text = " (it looks like an STL in text: convert it)" if content[:5] == b"solid" else ""
        raise InputError(
            f"{path}: {len(content)} bytes for the {number} triangles of its header, expected {HEADER + number * TRIANGLE.itemsize}{text}"
        )
    corners = np.frombuffer(content, TRIANGLE, number, HEADER)["corners"].astype(np.float64)
    if not np.isfinite(corners).all():
        raise InputError(f"{path}: triangle {np.flatnonzero(~np.isfinite(corners).all((1, 2)))[0]} has a corner that is no number")
    return corners
