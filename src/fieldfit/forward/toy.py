"""The published toy of gradients through a branching simulation: Kagan and Heinrich, arXiv 2308.16680.

A primary of energy 25 leaves the origin in a random direction. A step covers 0.02, then, at the new place (r, a), a = atan2(x, y) in that order,
the particle splits with probability (s: logistic function)

    p(r, a; th) = 0.5 s(10 (r - th)) s(-10 (r - th - 10)) s(-10 sin(10 (a + 2 r))) s(-10 cos(10 (r - 2)))

into two of half the energy, with momenta +-(0.05, 0.05) added and renormalised. It stops, instead, where its energy is below 0.5 or r > 20.
Splits and stops leave hits at the place before the step. Loss of an event: (mean r of its hits - 2)^2; parameter th, the start of the matter.

Two gradients come out of one run of an event:
score               loss * sum of d log p(choice) / d th                                                     (likelihood ratio)
stochastic AD       w (loss of the alternative - loss), w: summed rate at which choices flip as th grows     (Arya et al., arXiv 2210.08572, eq. 2.4;
                    one alternative is kept, drawn with probability proportional to its rate: pruning, section 2.4)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

START_ENERGY = 25.0
STOP_ENERGY = 0.5
STOP_RADIUS = 20.0
STEP = 0.02
KICK = 0.05
TARGET = 2.0


@dataclass(frozen=True)
class Events:
    """loss: (event,). score: (event,) d log P(event) / d th. alternative: (event,) loss of the kept alternative; rate: (event,) its weight w."""

    loss: Float[np.ndarray, "event"]
    score: Float[np.ndarray, "event"]
    alternative: Float[np.ndarray, "event"]
    rate: Float[np.ndarray, "event"]


@dataclass(frozen=True)
class _Particles:
    """Particles in flight, sorted by event. momentum: unit vectors."""

    event: np.ndarray
    x: np.ndarray
    y: np.ndarray
    px: np.ndarray
    py: np.ndarray
    energy: np.ndarray

    def take(self, which: np.ndarray) -> "_Particles":
        return _Particles(self.event[which], self.x[which], self.y[which], self.px[which], self.py[which], self.energy[which])


def split_probability(x: np.ndarray, y: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(p, dp/dth) of a split at (x, y)."""
    r = np.hypot(x, y)
    begin, end = _logistic(10 * (r - threshold)), _logistic(-10 * (r - threshold - 10))
    p = 0.5 * begin * end * _logistic(-10 * np.sin(10 * (np.arctan2(x, y) + 2 * r))) * _logistic(-10 * np.cos(10 * (r - 2)))
    # d/dth of log begin is -10 (1 - begin), of log end +10 (1 - end)
    return p, p * 10 * (begin - end)


def simulate_events(threshold: float, events: int, generator: np.random.Generator, alternatives: bool = False) -> Events:
    """Events at th = `threshold`. With `alternatives`, each has one alternative run beside it; without, `alternative` is the loss itself.

    The alternative reads the event's own stream of random numbers from where it branched off, as the published code does.
    """
    angle = generator.uniform(-np.pi, np.pi, events)
    key = generator.integers(0, 1 << 63, dtype=np.uint64)
    here = _Particles(np.arange(events), np.zeros(events), np.zeros(events), np.cos(angle), np.sin(angle), np.full(events, START_ENERGY))
    there = here.take(np.zeros(0, np.intp))
    read, read_there = np.zeros(events, np.int64), np.zeros(events, np.int64)
    hits, hits_there = np.zeros((2, events)), np.zeros((2, events))  # number of hits and sum of their r
    score, rate = np.zeros(events), np.zeros(events)
    while here.event.size or there.event.size:
        moved, old_r = _moved(here)
        going = ~_stops(moved)
        _count(hits, here.event[~going], old_r[~going])
        before = moved.take(going)
        p, slope = split_probability(before.x, before.y, threshold)
        draws = _stream(key, before.event, read)
        split = draws < p
        score += np.bincount(before.event, slope * np.where(split, 1 / np.maximum(p, 1e-300), -1 / (1 - p)), events)
        after = _split(before, split)
        switch = np.zeros(0, np.intp)
        if alternatives:
            there = _step_alternative(there, threshold, key, read_there, hits_there)
            # The rate at which this very choice flips as th grows: splits vanish where p falls, appear where p rises.
            flip = np.where(slope < 0, split * -slope / np.maximum(p, 1e-300), ~split * slope / (1 - p))
            switch = _chosen(before.event, flip, rate, generator)
        old = old_r[going]
        _count(hits, before.event[split], old[split])
        if switch.size:
            other = split.copy()
            other[switch] = ~other[switch]
            events_switched = before.event[switch]
            there = _merged(there, _split(before, other), events_switched)
            hits_there[:, events_switched] = hits[:, events_switched]
            sign = np.where(split[switch], -1.0, 1.0)
            hits_there[0, events_switched] += sign
            hits_there[1, events_switched] += sign * old[switch]
            read_there[events_switched] = read[events_switched]
        here = after
    loss = (hits[1] / hits[0] - TARGET) ** 2
    known = hits_there[0] > 0
    alternative = np.where(known, (hits_there[1] / np.maximum(hits_there[0], 1) - TARGET) ** 2, loss)
    return Events(loss, score, alternative, rate)


def _logistic(z: np.ndarray) -> np.ndarray:
    value: np.ndarray = 0.5 * (1 + np.tanh(0.5 * z))
    return value


def _moved(particles: _Particles) -> tuple[_Particles, np.ndarray]:
    """Particles a step on, and their radius before it."""
    old_r = np.hypot(particles.x, particles.y)
    x, y = particles.x + STEP * particles.px, particles.y + STEP * particles.py
    return _Particles(particles.event, x, y, particles.px, particles.py, particles.energy), old_r


def _stops(moved: _Particles) -> np.ndarray:
    stops: np.ndarray = (moved.energy < STOP_ENERGY) | (np.hypot(moved.x, moved.y) > STOP_RADIUS)
    return stops


def _split(before: _Particles, split: np.ndarray) -> _Particles:
    """The particles after their choices, daughters beside each other in the parent's place."""
    copies = np.where(split, 2, 1)
    which = np.repeat(np.arange(split.size), copies)
    second = np.concatenate([[False], which[1:] == which[:-1]]) if which.size else np.zeros(0, bool)
    out = before.take(which)
    born = split[which]
    kick = np.where(born, np.where(second, -KICK, KICK), 0.0)
    px, py = out.px + kick, out.py + kick
    norm = np.where(born, np.hypot(px, py), 1.0)
    return _Particles(out.event, out.x, out.y, px / norm, py / norm, np.where(born, out.energy / 2, out.energy))


def _count(hits: np.ndarray, event: np.ndarray, r: np.ndarray) -> None:
    size = hits.shape[1]
    hits[0] += np.bincount(event, minlength=size)
    hits[1] += np.bincount(event, r, size)


def _stream(key: np.uint64, event: np.ndarray, read: np.ndarray) -> np.ndarray:
    """The next uniform number of each particle's event, in the order of the particles; `read` moves on.

    Counter-based (splitmix64: Steele, Lea, Flood, OOPSLA 2014), so that a stream can be read again from any place.
    """
    place = np.arange(event.size)
    first = np.searchsorted(event, event)
    counter = (read[event] + place - first).astype(np.uint64)
    z = key + (event.astype(np.uint64) << np.uint64(32)) + counter
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    read += np.bincount(event, minlength=read.size)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _chosen(event: np.ndarray, flip: np.ndarray, rate: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Particles whose flipped choice becomes their event's alternative; `rate` (event,) takes up all flips. At most one an event.

    A flip replaces what was kept with probability flip / (sum of all so far): each is kept in the end in proportion to its rate.
    """
    able = np.flatnonzero(flip > 0)
    owner = event[able]
    running = np.cumsum(flip[able])
    first = np.searchsorted(owner, owner)
    total = rate[owner] + running - np.where(first > 0, running[first - 1], 0.0)
    taken = generator.random(able.size) * total < flip[able]
    rate += np.bincount(owner, flip[able], rate.size)
    kept = able[taken]
    last = np.concatenate([event[kept][1:] != event[kept][:-1], [True]]) if kept.size else np.zeros(0, bool)
    return kept[last]


def _step_alternative(there: _Particles, threshold: float, key: np.uint64, read: np.ndarray, hits: np.ndarray) -> _Particles:
    moved, old_r = _moved(there)
    going = ~_stops(moved)
    _count(hits, there.event[~going], old_r[~going])
    before = moved.take(going)
    split = _stream(key, before.event, read) < split_probability(before.x, before.y, threshold)[0]
    _count(hits, before.event[split], old_r[going][split])
    return _split(before, split)


def _merged(there: _Particles, fresh: _Particles, events: np.ndarray) -> _Particles:
    """`there` with the particles of `events` taken from `fresh` instead, sorted by event."""
    a, b = there.take(~np.isin(there.event, events)), fresh.take(np.isin(fresh.event, events))
    event = np.concatenate([a.event, b.event])
    order = np.argsort(event, kind="stable")
    both = [np.concatenate([getattr(a, name), getattr(b, name)])[order] for name in ("x", "y", "px", "py", "energy")]
    return _Particles(event[order], *both)
