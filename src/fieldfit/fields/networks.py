"""Densities by neural networks, three families behind one interface: what a network draws on a Gaussian envelope.

    n = envelope s(1 + u),   u = MLP(gamma(x)),   x in half widths of the box                (s: fields.positive)
    fourier   gamma = [cos 2 pi B x, sin 2 pi B x],  B ~ N(0, bandwidth^2)                   Tancik et al., NeurIPS 2020, eq. 4
    siren     gamma = sin(omega (W x + b)), sines in the other layers too                    Sitzmann et al., NeurIPS 2020, eq. 5
    hash      gamma = features at the nodes of LEVELS grids, linear between nodes; nodes of a grid that is larger than its table share
              entries by a hash of their place                                               Mueller et al., ACM Trans. Graph. 41, 102 (2022)

What depends on the points alone is computed once (`encoded`), so that a step of a fit is a product of matrices.
"""

import itertools
import math
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fieldfit.fields.field import Field
from fieldfit.fields.fringed import ENVELOPE, WAVE, density
from fieldfit.fields.grids import around, between
from fieldfit.fields.positive import positive
from fieldfit.geometry.sparse import SparseMap

Family = Literal["fourier", "siren", "hash"]
FEATURES = 32  # of a Fourier encoding
BANDWIDTH, OMEGA_FIRST, OMEGA = 0.03, 0.3, 10.0  # cycles, radians a finest edge; radians of the other layers
LEVELS, COARSEST, ENTRIES, ENTRY = 8, 8, 2**15, 2  # grids, cells of the coarsest along an edge, places in each table, features of a place
PRIMES = (1, 2_654_435_761, 805_459_861)  # of the hash: Mueller et al., eq. 4
SMALL = 1e-4  # features of an unfitted table

Encoded = list[SparseMap] | Tensor


class Network(Field):
    """(n, 3) points [m] -> (batch, n) densities [m-3]. half_width [m] of the box; edge: of the finest detail, in half widths;
    envelope (batch, 10): see fields.fringed."""

    envelope: Tensor
    frequencies: Tensor

    def __init__(self, batch: int, half_width: float, family: Family, edge: float, width: int = 48, depth: int = 2, seed: int = 0) -> None:
        super().__init__()
        self.batch, self.half_width, self.family, self.edge = batch, half_width, family, edge
        self._settings = {"batch": batch, "half_width": half_width, "family": family, "edge": edge, "width": width, "depth": depth, "seed": seed}
        random = torch.Generator("cpu").manual_seed(seed)

        def normal(*size: int) -> Tensor:
            return torch.randn(batch, *size, generator=random, device="cpu")

        self.register_buffer("envelope", torch.zeros(batch, ENVELOPE))
        self.register_buffer("frequencies", BANDWIDTH / edge * normal(3, FEATURES) if family == "fourier" else torch.zeros(batch, 0))
        self.tables = nn.Parameter(SMALL * normal(LEVELS, ENTRIES, ENTRY) if family == "hash" else torch.zeros(batch, 0))
        sizes = [{"fourier": 2 * FEATURES, "siren": 3, "hash": LEVELS * ENTRY}[family]] + [width] * depth + [1]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for k, (a, b) in enumerate(pairwise(sizes)):
            # Variances that keep the size of what passes through; the last layer starts small, so that the envelope is drawn.
            scale = 0.1 / math.sqrt(a) if k == depth else math.sqrt(2 / a)
            if family == "siren" and k < depth:
                scale = OMEGA_FIRST / edge / math.sqrt(3 * a) if k == 0 else math.sqrt(2 / a) / OMEGA
            self.weights.append(nn.Parameter(scale * normal(a, b)))
            self.biases.append(nn.Parameter(normal(1, b) if family == "siren" and k < depth else torch.zeros(batch, 1, b)))

    def encoded(self, x: Float[Tensor, "n 3"]) -> Encoded:
        """What the network takes of points in half widths: gamma (batch, n, feature), x itself, or maps from the tables of each grid."""
        if self.family == "fourier":
            phase = 2 * math.pi * x @ self.frequencies
            return torch.cat([phase.cos(), phase.sin()], -1)
        if self.family == "siren":
            return x.expand(self.batch or 1, -1, -1)
        growth = (2 / self.edge / COARSEST) ** (1 / (LEVELS - 1))
        return [_from_table(x, math.ceil(COARSEST * growth**level)) for level in range(LEVELS)]

    def drawn(self, encoded: Encoded) -> Float[Tensor, "batch n"]:
        """u."""
        h = encoded if isinstance(encoded, Tensor) else torch.cat([self._features(k, level) for k, level in enumerate(encoded)], -1)
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if k < last:
                h = nn.functional.silu(h) if self.family != "siren" else torch.sin(h if k == 0 else OMEGA * h)
        return h[..., 0]

    def _features(self, level: int, looked_up: SparseMap) -> Float[Tensor, "batch n feature"]:
        tables = self.tables[:, level].transpose(0, 1)
        return looked_up(tables.reshape(ENTRIES, -1)).unflatten(1, (-1, ENTRY)).transpose(0, 1)

    def base(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "batch n"]:
        """The envelope [m-3] at points in half widths."""
        none = self.envelope.new_zeros(len(self.envelope), WAVE)
        return density(self.envelope, none, x, torch.ones_like(x[:, 0]).expand(len(none), -1)) / self.half_width**3

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "batch n"]:
        return self.means(points, 0.0)

    def means(self, points: Float[Tensor, "n 3"], edge: float) -> Float[Tensor, "batch n"]:
        """Means over cubes of `edge` [m] centred at `points` [m] of the density [m-3], which is what the network draws over cubes of its own
        edge, as the projector of a fit saw it. By two Gauss-Legendre places along each axis: the second moments of both cubes are exact."""
        x, away = (points / self.half_width).to(self.envelope.dtype), math.sqrt((self.edge**2 + (edge / self.half_width) ** 2) / 12)
        places = [x + away * torch.tensor(signs, dtype=x.dtype, device=x.device) for signs in itertools.product((-1.0, 1.0), repeat=3)]
        return torch.stack([self.base(at) * positive(self.drawn(self.encoded(at))) for at in places]).mean(0)

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)


def _from_table(x: Float[Tensor, "n 3"], cells: int) -> SparseMap:
    """From a level's table to points in a cube [-1, 1]^3 of `cells`^3 cells."""
    (i, j, k), weights = around(x.cpu(), cells + 1)
    if (cells + 1) ** 3 <= ENTRIES:
        index = (i * (cells + 1) + j) * (cells + 1) + k
    else:
        index = (i.long() * PRIMES[0] ^ j.long() * PRIMES[1] ^ k.long() * PRIMES[2]) % ENTRIES
    found = between(index, weights, ENTRIES)
    return SparseMap(found.matrix.to(x.device), found.transposed.to(x.device))
