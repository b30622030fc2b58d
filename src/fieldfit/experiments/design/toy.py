"""Four gradients of the published toy at one parameter, event by event, and its loss along a scan (Kagan and Heinrich, arXiv 2308.16680, section 5).

score            loss S                           S: score of the event
score_baseline   (loss - mean loss) S
numeric          (loss' - loss) / step            independent events at th + step and th, as published
stochastic_ad    w (loss of the alternative - loss)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fieldfit.forward.toy import simulate_events

ESTIMATORS = ("score", "score_baseline", "numeric", "stochastic_ad")


@dataclass(frozen=True)
class Gradients:
    """mean, spread (over events), error (of the mean): (estimator,) in the order of ESTIMATORS."""

    mean: Float[np.ndarray, "estimator"]
    spread: Float[np.ndarray, "estimator"]
    error: Float[np.ndarray, "estimator"]


def gradients(threshold: float, events: int, generator: np.random.Generator, step: float = 0.01) -> Gradients:
    """d loss / d th at `threshold` by each estimator."""
    run = simulate_events(threshold, events, generator, alternatives=True)
    further = simulate_events(threshold + step, events, generator)
    each = np.stack(
        [
            run.loss * run.score,
            # Every other event's mean: an event's own loss in its baseline would bias it by 1/events.
            (run.loss - (run.loss.sum() - run.loss) / (events - 1)) * run.score,
            (further.loss - run.loss) / step,
            run.rate * (run.alternative - run.loss),
        ]
    )
    spread = each.std(1, ddof=1)
    return Gradients(each.mean(1), spread, spread / np.sqrt(events))


def scan(thresholds: tuple[float, ...], events: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Loss at each parameter, and its standard error."""
    losses = [simulate_events(threshold, events, generator).loss for threshold in thresholds]
    return np.array([loss.mean() for loss in losses]), np.array([loss.std(ddof=1) / np.sqrt(events) for loss in losses])
