"""The inside of a closed mesh, filled evenly with atoms.

A vertical line enters the body through triangles that face down and leaves it through those that face up, so that with s = 1 where it
leaves and s = -1 where it enters

    inside(x, y, z) = sum_c s_c [z < z_c],     length inside a <= z < b = sum_c s_c (min(max(z_c, a), b) - a)

over its crossings z_c. The triangles that a line can meet are found by a lattice of cells across z.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.io.stl import read_stl
from fieldfit.simulate.clouds import Values, Vector
from fieldfit.types import InputError

Places = NDArray[np.int64]
CELLS = 48  # along each edge of the lattice that sorts triangles
LINES = 5  # along each edge of a voxel: its mean is exact along z and a sum over lines across
BESIDE = 1e-3 * math.sqrt(2), 1e-3 * math.sqrt(3)  # along x and y, of their distance: off the round places where a drawn body has its edges


@dataclass(frozen=True)
class Solid:
    """Uniform inside a mesh. corners (triangle, corner, 3) [m], anticlockwise from outside; name: of its file, for messages."""

    corners: Values
    atoms: int
    name: str

    @property
    def volume(self) -> float:
        """Of the inside [m3]: sum over triangles of a . (b x c) / 6 (the divergence theorem)."""
        a, b, c = self.corners.transpose(1, 0, 2)
        return float((a * np.cross(b, c)).sum() / 6)

    def drawn(self, random: np.random.Generator) -> Values:
        """By rejection from the box around the mesh. Raises InputError where the mesh is not closed."""
        low, high = self.corners.min((0, 1)), self.corners.max((0, 1))
        filled = self.volume / (high - low).prod()
        found: list[Values] = []
        missing = self.atoms
        while missing > 0:
            r = low + (high - low) * random.random((int(1.1 * missing / filled) + 100, 3))
            inside = np.zeros(len(r), int)
            for line, height, sign in self._crossings(r[:, 0], r[:, 1]):
                np.add.at(inside, line, sign * (r[line, 2] < height))
            r = r[inside > 0][:missing]
            found.append(r)
            missing -= len(r)
        return np.concatenate(found) if found else np.zeros((0, 3))

    def means(self, edges: Values) -> Values:
        """Lengths inside, of lines through the voxels. Raises InputError where the mesh is not closed."""
        n, step = len(edges) - 1, np.diff(edges)
        fine = [(edges[:-1, None] + step[:, None] * (np.arange(LINES) + 0.5 + beside) / LINES).ravel() for beside in BESIDE]
        x, y = (place.ravel() for place in np.indices((n * LINES, n * LINES)))
        length = np.zeros((n * n, n))
        for line, height, sign in self._crossings(fine[0][x], fine[1][y]):
            up = np.clip(height[:, None], edges[:-1], edges[1:]) - edges[:-1]
            np.add.at(length, x[line] // LINES * n + y[line] // LINES, sign[:, None] * up)
        means: Values = (length / (LINES**2 * step) / self.volume).reshape(n, n, n)
        return means

    def _crossings(self, x: Values, y: Values) -> Iterator[tuple[Places, Values, Places]]:
        """(line, z, sign) of the crossings of vertical lines with the mesh, a cell of lines at a time."""
        low, high = self.corners[..., :2].min((0, 1)), self.corners[..., :2].max((0, 1))
        size = (high - low) / CELLS
        reached = np.minimum((self.corners[..., :2] - low) / size, CELLS - 1).astype(int)
        first, last = reached.min(1), reached.max(1)
        inside = np.flatnonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
        cell = np.minimum(((np.stack([x[inside], y[inside]], 1) - low) / size).astype(int), CELLS - 1)
        order = np.argsort(cell[:, 0] * CELLS + cell[:, 1], kind="stable")
        inside, cell = inside[order], cell[order]
        starts = np.flatnonzero(np.r_[True, (np.diff(cell, axis=0) != 0).any(1)]) if len(cell) else np.zeros(0, int)
        for lines, (column, row) in zip(np.split(inside, starts[1:]), cell[starts], strict=False):
            near = (first[:, 0] <= column) & (last[:, 0] >= column) & (first[:, 1] <= row) & (last[:, 1] >= row)
            yield self._pierced(lines, x[lines], y[lines], self.corners[near])

    def _pierced(self, lines: Places, x: Values, y: Values, corners: Values) -> tuple[Places, Values, Places]:
        """The same for lines and triangles all tried against each other."""
        a, b, c = (corners[:, k] for k in range(3))

        def side(p: Values, q: Values) -> Values:
            """(line, triangle) twice the signed area of the projected triangle p, q, line."""
            return (q[:, 0] - p[:, 0]) * (y[:, None] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x[:, None] - p[:, 0])

        u, v, w = side(b, c), side(c, a), side(a, b)
        area = u + v + w
        hit = ((u > 0) & (v > 0) & (w > 0)) | ((u < 0) & (v < 0) & (w < 0))
        line, triangle = np.nonzero(hit)
        total = area[hit]
        height = (u[hit] * a[triangle, 2] + v[hit] * b[triangle, 2] + w[hit] * c[triangle, 2]) / total
        sign = np.sign(total).astype(np.int64)
        open_lines = np.flatnonzero(np.bincount(line, sign, len(x)))
        if len(open_lines):
            wrong = open_lines[0]
            raise InputError(f"{self.name}: the mesh is open at x {x[wrong]:g}, y {y[wrong]:g} m after scaling, expected a closed surface")
        return lines[line], height, sign


def solid(path: Path, centre: Vector, extent: float, atoms: int) -> Solid:
    """The inside of an STL file, its longest edge scaled to `extent` [m], the middle of its box at `centre`. Raises InputError."""
    corners = read_stl(path)
    low, high = corners.min((0, 1)), corners.max((0, 1))
    if not (high - low).min() > 0:
        raise InputError(f"{path}: a flat mesh of {len(corners)} triangles, expected a closed surface")
    scaled = (corners - (low + high) / 2) * (extent / (high - low).max()) + np.array(centre)
    body = Solid(scaled, atoms, str(path))
    if not body.volume > 0:
        raise InputError(f"{path}: encloses {body.volume:g} m3 after scaling, expected triangles that are anticlockwise seen from outside")
    return body
