"""Triangle meshes in binary STL files (3D Systems, 1989): 80 bytes of header, the number of triangles, 50 bytes a triangle."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.types import InputError

HEADER = 84
MOST_BYTES = 512 * 1024**2
MERGED = 1e-6
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> NDArray[np.float64]:
    """Corners of the triangles (triangle, corner, 3), in the file's own units, anticlockwise seen from outside.

    Raises InputError naming the file where it is absent, not a binary STL, of another length than its header says, or holds values that are
    no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a mesh in a binary STL")
    try:
        size = path.stat().st_size
        if not HEADER < size <= MOST_BYTES:
            raise InputError(f"{path}: {size} bytes, expected a binary STL of {HEADER + TRIANGLE.itemsize} bytes to {MOST_BYTES // 1024**2} MiB")
        content = path.read_bytes()
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


def read_body(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(vertices (n, 3), triangles (m, 3) as indices of vertices) of the body that an STL file encloses, in the file's own units.

    Corners within MERGED of the body's width are one vertex. Raises InputError as `read_stl` does, and where the mesh is flat, open or inside out.
    """
    corners = read_stl(path)
    low, high = corners.min((0, 1)), corners.max((0, 1))
    if not (high - low).min() > 0:
        raise InputError(f"{path}: a flat mesh of {len(corners)} triangles, expected a closed surface")
    places = np.rint((corners.reshape(-1, 3) - low) / (MERGED * (high - low).max())).astype(np.int64)
    _, first, which = np.unique(places, axis=0, return_index=True, return_inverse=True)
    vertices, triangles = corners.reshape(-1, 3)[first], which.reshape(-1, 3)
    proper = (triangles != np.roll(triangles, 1, axis=1)).all(1)
    triangles = triangles[proper]
    # In a closed surface that is wound alike everywhere, each edge is run through once in each direction.
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    forth, back = (edges[:, k] * len(vertices) + edges[:, 1 - k] for k in (0, 1))
    known, times = np.unique(forth, return_counts=True)
    wrong = np.concatenate([np.setdiff1d(known, back), known[times > 1]])
    if len(wrong):
        place = ", ".join(f"{value:g}" for value in vertices[wrong[0] // len(vertices)])
        raise InputError(
            f"{path}: the mesh is open or not wound alike: {len(wrong)} of {len(forth)} edges have no partner or more than one, "
            f"the first at ({place}) in the file's units; expected a closed surface"
        )
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    volume = float((a * np.cross(b, c)).sum() / 6)
    if not volume > 0:
        raise InputError(f"{path}: encloses a volume of {volume:g} in the file's units, expected triangles that are anticlockwise seen from outside")
    return vertices, triangles
