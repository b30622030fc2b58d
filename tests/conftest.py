"""Shared fixtures: where the checkout and the reference data are; shapes in annotations are checked while tests run."""

from pathlib import Path

import pytest
import torch

CHECKOUT = Path(__file__).parents[1]
torch.set_num_threads(1)  # small tensors: threads only wait for each other


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def reference() -> Path:
    """The reference data beside the checkout; tests that need them are skipped by name where they are absent."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no reference data at ../shared/data")
    return folder
