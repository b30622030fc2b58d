"""Configuration of detector design: the toy of the published study and the showers."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fieldfit.config.entry import Device, Entry, Seed


class Annulus(Entry):
    """Ring-shaped region."""

    shape: Literal["annulus"]
    centre: tuple[float, float] = Field((0.0, 0.0), description="centre x, y")
    inner: float = Field(gt=0, description="inner radius")
    outer: float = Field(gt=0, description="outer radius")


class EllipticAnnulus(Entry):
    """Elliptic ring, turned by an angle."""

    shape: Literal["elliptic_annulus"]
    centre: tuple[float, float] = Field((0.0, 0.0), description="centre x, y")
    inner: tuple[float, float] = Field(description="inner half-axes")
    outer: tuple[float, float] = Field(description="outer half-axes")
    angle_deg: float = Field(0.0, description="angle of the first half-axis to x [deg]")


class Study(Entry):
    """The detector study: keys of the reference JSON files. Lengths share one unit of the study's own."""

    radius: float = Field(4.0, gt=0, description="radius of the disc")
    mean_free_path: float = Field(0.15, gt=0, description="mean free path at full density")
    energy: float = Field(10.0, gt=0, description="energy of a primary")
    deposit_fraction: float = Field(0.1, gt=0, lt=1, description="share of its energy that a particle deposits at an interaction")
    angle: float = Field(0.15, description="scale of the angle between daughters and parent [rad]")
    cutoff: float = Field(0.5, gt=0, description="energy below which a particle deposits everything")
    source: tuple[float, float] = Field((0.0, 0.0), description="where primaries start, x, y")
    region: Annotated[Annulus | EllipticAnnulus, Field(discriminator="shape")] = Field(description="where deposited energy counts")
    mass_weight: float = Field(0.1, ge=0, description="price of the mean density")


class MaterialFit(Entry):
    """How the material field is optimised."""

    steps: int = Field(450, ge=1, description="optimiser steps")
    primaries: int = Field(384, ge=8, description="primaries a step")
    rate: float = Field(3e-2, gt=0, description="learning rate at the start of the cosine decay")
    cells: int = Field(96, ge=16, le=512, description="cells of the raster along each edge")
    evaluation_primaries: int = Field(2000, ge=100, description="primaries of the held-out evaluation, the same for each candidate")


def _in_place(value: Any) -> str:
    """Which of the two a study is given as, so that errors speak of that one only."""
    return "Study" if isinstance(value, dict | Study) else "path"


class Shower(Entry):
    """Free-form material layout through the 2D shower."""

    model: Literal["shower_2d"]
    study: Annotated[Annotated[Path, Tag("path")] | Annotated[Study, Tag("Study")], Discriminator(_in_place)] = Field(
        description="JSON file with the study's keys, or the keys in place"
    )
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=1, description="independent fits")
    fit: MaterialFit = Field(default_factory=MaterialFit, description="material fit")
    device: Device = Field("auto", description="auto takes a GPU where there is one")


class Toy(Entry):
    """The published toy: four gradient estimators of one parameter."""

    model: Literal["published_toy"]
    threshold: float = Field(2.5, description="the parameter at which gradients are taken")
    events: int = Field(5000, ge=50, description="events for each estimator")
    numeric_step: float = Field(0.01, gt=0, description="step of the parameter in the numeric gradient")
    scan: tuple[float, ...] = Field((0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0), min_length=1, description="parameters at which the loss is scanned")
    seeds: tuple[Seed, ...] = Field((1,), min_length=1, max_length=1, description="seed of the events")
