"""Random showers in a disc of matter, and the likelihood-ratio gradient of what they deposit in a region.

A flight covers the optical depth tau ~ Exp(1):   integral of rho(x(s)) ds / lambda = tau      (rho in [FLOOR, 1], lambda: mean free path at rho = 1)
A collision at energy E deposits f E and makes two daughters of (1 - f) E / 2 at +angle (0.5 + U) and -angle (0.5 + U');
below the cutoff it deposits all of E. The reward of a shower is its deposit in the region over the energy of the primary.

The reward of one shower does not change under a small change of rho (collisions move, the indicator of the region does not), so
its pathwise gradient is zero while its mean's is not. The score of what happened carries the gradient (Kleijnen and Rubinstein, EJOR 88, 413 (1996)):

    d E[reward] / d rho_c = E[ sum over flights  A (n_c / rho_c - l_c / lambda) ]

n_c: collisions of the flight in cell c, l_c: its length in c, A: reward of all that comes of the flight less a baseline b(generation, cell).
At every point of a flight the score has mean zero given the past, so that any b which does not know the future leaves the mean unchanged.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from fieldfit.config.design import Annulus, Study
from fieldfit.types import InputError

FLOOR = 1e-3  # density of what is called empty
FLIGHTS_LIMIT = 1 << 13  # flights a primary; a study with more would not fit into memory
_CHUNK = 24  # steps along all flights that are taken at once


@dataclass(frozen=True)
class Draws:
    """All random numbers of a batch of showers, one for each place in the tree: two materials that share them share their luck.

    direction: (primary,) [rad]; depth[g]: (primary * 2^g,) optical depths; turn[g]: (primary * 2^g,) angle to the parent [rad], zero at g = 0.
    """

    direction: np.ndarray
    depth: tuple[np.ndarray, ...]
    turn: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Flights:
    """The flights of one generation that were begun.

    index: place in the tree, of primary * 2^generation; daughters of i are 2i and 2i + 1. hit: ended in a collision, else it left the disc.
    x, y: end. cell: the one whose density decided the collision (0 for a flight that left).
    segment_*: the path cut into pieces inside one cell, as (flight, cell, length); empty unless recorded.
    """

    index: Int[np.ndarray, "flight"]
    hit: Bool[np.ndarray, "flight"]
    x: Float[np.ndarray, "flight"]
    y: Float[np.ndarray, "flight"]
    cell: Int[np.ndarray, "flight"]
    segment_flight: Int[np.ndarray, "segment"]
    segment_cell: Int[np.ndarray, "segment"]
    segment_length: Float[np.ndarray, "segment"]


@dataclass(frozen=True)
class Showers:
    """A batch of showers. reward: (primary,) deposit in the region over the primary's energy; to_go[g]: the same for what comes of each flight."""

    flights: tuple[Flights, ...]
    to_go: tuple[np.ndarray, ...]
    reward: Float[np.ndarray, "primary"]
    deposited: Float[np.ndarray, "primary"]
    escaped: Float[np.ndarray, "primary"]


def energies(study: Study) -> tuple[float, ...]:
    """Energy of a particle in each generation, down to the first below the cutoff.

    Raises InputError when a shower would have more than FLIGHTS_LIMIT flights.
    """
    share = (1 - study.deposit_fraction) / 2
    count = max(0, math.ceil(math.log(study.cutoff / study.energy) / math.log(share))) + 1
    if 2**count > FLIGHTS_LIMIT:
        raise InputError(
            f"study: energy {study.energy:g} and cutoff {study.cutoff:g} make showers of {2**count - 1} flights, expected at most {FLIGHTS_LIMIT}"
        )
    ladder = [study.energy * share**g for g in range(count)]
    return tuple(ladder if ladder[-1] < study.cutoff else [*ladder, ladder[-1] * share])


def in_region(study: Study, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie between the inner and the outer edge of the study's region."""
    region = study.region
    angle = 0.0 if isinstance(region, Annulus) else math.radians(region.angle_deg)
    inner, outer = ((region.inner,) * 2, (region.outer,) * 2) if isinstance(region, Annulus) else (region.inner, region.outer)
    u, v = x - region.centre[0], y - region.centre[1]
    u, v = u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle)
    inside: np.ndarray = (np.hypot(u / inner[0], v / inner[1]) >= 1) & (np.hypot(u / outer[0], v / outer[1]) <= 1)
    return inside


def cell_centres(radius: float, cells: int) -> np.ndarray:
    """Centres of the cells along one edge of the square [-radius, radius]^2, ascending."""
    return (np.arange(cells) + 0.5) / cells * 2 * radius - radius


def draw(study: Study, primaries: int, generator: np.random.Generator, stratified: bool = False) -> Draws:
    """Random numbers of `primaries` showers; `stratified` spreads the primaries' directions evenly, one in each of as many sectors."""
    levels = len(energies(study))
    offset = generator.random(primaries)
    direction = 2 * np.pi * ((np.arange(primaries) + offset) / primaries if stratified else offset)
    depth = tuple(generator.exponential(size=primaries << g) for g in range(levels))
    sign = [np.tile([1.0, -1.0], max(primaries << g >> 1, 0)) if g else np.zeros(primaries) for g in range(levels)]
    turn = tuple(sign[g] * study.angle * (0.5 + generator.random(primaries << g)) for g in range(levels))
    return Draws(direction, depth, turn)


def simulate(study: Study, density: Float[np.ndarray, "y x"], draws: Draws, record: bool = False, substeps: int = 4) -> Showers:
    """Showers from the study's source through `density` on the square [-radius, radius]^2, in steps of a cell's edge / `substeps`.

    density: in [FLOOR, 1], x and y ascending. record: keep the segments, which `score_gradient` needs.
    """
    primaries = draws.direction.size
    index, heading = np.arange(primaries), draws.direction
    x, y = np.full(primaries, study.source[0]), np.full(primaries, study.source[1])
    flights = []
    for g, depth in enumerate(draws.depth):
        flown = _fly(study, density, x, y, heading, depth[index], index, record, substeps)
        flights.append(flown)
        if g + 1 < len(draws.depth):
            index = np.repeat(2 * flown.index[flown.hit], 2)
            index[1::2] += 1
            x, y = np.repeat(flown.x[flown.hit], 2), np.repeat(flown.y[flown.hit], 2)
            heading = np.repeat(heading[flown.hit], 2) + draws.turn[g + 1][index]
    return _account(study, tuple(flights), primaries)


def _fly(
    study: Study,
    density: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    heading: np.ndarray,
    depth: np.ndarray,
    index: np.ndarray,
    record: bool,
    substeps: int,
) -> Flights:
    """Follow flights until each has covered its optical depth or left the disc; the density of a step is that of the cell of its middle."""
    cells, radius = density.shape[0], study.radius
    rate = (density / study.mean_free_path).ravel()
    step, scale = 2 * radius / cells / substeps, cells / (2 * radius)
    c, s = np.cos(heading), np.sin(heading)
    along = x * c + y * s
    leave = np.sqrt(np.maximum(along**2 + radius**2 - x**2 - y**2, 0.0)) - along
    reach, hit, left, end_cell = leave.copy(), np.zeros(x.size, bool), depth.copy(), np.zeros(x.size, np.int64)
    pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    active, first = np.arange(x.size), 0
    ticks = (np.arange(_CHUNK) + 0.5) * step
    while active.size:
        middle = ticks + first * step
        column = ((x[active, None] + c[active, None] * middle + radius) * scale).astype(np.int32)
        row = ((y[active, None] + s[active, None] * middle + radius) * scale).astype(np.int32)
        cell = np.clip(row, 0, cells - 1) * cells + np.clip(column, 0, cells - 1)
        length = np.clip(leave[active, None] - (middle - step / 2), 0.0, step)
        local = rate[cell]
        covered = np.cumsum(local * length, 1)
        stop = np.count_nonzero(covered < left[active, None], axis=1)
        ends = np.flatnonzero(stop < _CHUNK)
        k, who = stop[ends], active[ends]
        part = length[ends, k] - (covered[ends, k] - left[who]) / local[ends, k]
        hit[who], reach[who], end_cell[who] = True, (first + k) * step + part, cell[ends, k]
        if record:
            length[ends, k] = part
            length[np.arange(_CHUNK) > stop[:, None]] = 0.0
            kept = length > 0
            pieces.append((np.repeat(active, kept.sum(1)), cell[kept], length[kept]))
        left[active] -= covered[:, -1]
        first += _CHUNK
        active = active[(stop == _CHUNK) & (leave[active] > first * step)]
    end_x, end_y = x + c * reach, y + s * reach
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    segments = [np.concatenate(part) for part in zip(*pieces, strict=True)] if pieces else empty
    return Flights(index, hit, end_x, end_y, end_cell, *segments)


def _account(study: Study, flights: tuple[Flights, ...], primaries: int) -> Showers:
    """Rewards of every flight from the last generation to the first, and the energy's whereabouts."""
    ladder = energies(study)
    deposited, escaped = np.zeros(primaries), np.zeros(primaries)
    later = np.zeros(primaries << len(ladder))
    to_go = []
    for g in reversed(range(len(ladder))):
        flown, last = flights[g], g == len(ladder) - 1
        deposit = ladder[g] * (1.0 if last else study.deposit_fraction)
        own = flown.hit * deposit / study.energy * in_region(study, flown.x, flown.y)
        value = own + later[2 * flown.index] + later[2 * flown.index + 1]
        later = np.zeros(primaries << g)
        later[flown.index] = value
        to_go.append(value)
        primary = flown.index >> g
        deposited += np.bincount(primary, flown.hit * deposit, primaries)
        escaped += np.bincount(primary, ~flown.hit * ladder[g], primaries)
    return Showers(flights, tuple(reversed(to_go)), later, deposited, escaped)


@dataclass(frozen=True)
class Baseline:
    """Expected reward to go of a particle in flight, by generation and block of cells, learned from earlier batches.

    total, weight: (generation, block) sums of reward times length and of length; block: (cell,) block of each cell.
    """

    total: np.ndarray
    weight: np.ndarray
    block: np.ndarray

    def table(self) -> Float[np.ndarray, "generation cell"]:
        """Value for each cell; a block that was hardly visited takes the generation's mean."""
        mean = self.total.sum(1, keepdims=True) / np.maximum(self.weight.sum(1, keepdims=True), 1e-12)
        trust = 1e-2 * self.weight.mean(1, keepdims=True) + 1e-12
        return ((self.total + trust * mean) / (self.weight + trust))[:, self.block]


def no_baseline(study: Study, cells: int, merge: int = 2) -> Baseline:
    """A baseline that has seen nothing: zero everywhere. merge: cells along each edge of a block."""
    side = -(-cells // merge)
    place = np.arange(cells) // merge
    levels = len(energies(study))
    return Baseline(np.zeros((levels, side * side)), np.zeros((levels, side * side)), (place[:, None] * side + place[None, :]).ravel())


def learn(baseline: Baseline, showers: Showers, memory: float = 0.9) -> Baseline:
    """The baseline after one more recorded batch, older batches weighing `memory` a batch."""
    size = baseline.total.shape[1]
    total, weight = memory * baseline.total, memory * baseline.weight
    for g, flown in enumerate(showers.flights):
        block = baseline.block[flown.segment_cell]
        total[g] += np.bincount(block, flown.segment_length * showers.to_go[g][flown.segment_flight], size)
        weight[g] += np.bincount(block, flown.segment_length, size)
    return Baseline(total, weight, baseline.block)


def score_gradient(study: Study, density: Float[np.ndarray, "y x"], showers: Showers, baseline: Baseline | None = None) -> Float[np.ndarray, "y x"]:
    """Likelihood-ratio estimate of d E[reward] / d density of every cell, from recorded showers.

    baseline: learned from other batches than this one; None is the plain score, with the same mean and more variance.
    """
    flat = density.ravel()
    gradient = np.zeros(flat.size)
    table = None if baseline is None else baseline.table()
    for g, flown in enumerate(showers.flights):
        ended, cell = flown.hit, flown.cell
        along = showers.to_go[g][flown.segment_flight]
        at_end = showers.to_go[g][ended]
        if table is not None:
            along = along - table[g][flown.segment_cell]
            at_end = at_end - table[g][cell[ended]]
        gradient -= np.bincount(flown.segment_cell, flown.segment_length * along, flat.size) / study.mean_free_path
        gradient += np.bincount(cell[ended], at_end / flat[cell[ended]], flat.size)
    return gradient.reshape(density.shape) / showers.reward.size
