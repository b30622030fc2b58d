"""A small study end to end: the layout is found, evaluated with honest errors, and can be evaluated anywhere."""

import json
from pathlib import Path

import numpy as np
import pytest

from fieldfit import load_field
from fieldfit.config.design import Annulus, EllipticAnnulus, MaterialFit, Shower, Study, Toy
from fieldfit.config.load import load_study
from fieldfit.experiments.design.reference import Ring, best_ring, candidates, evaluate, filled_region, loss_a_primary, mass_of, ring_material
from fieldfit.experiments.design.study import optimise
from fieldfit.forward.shower import draw
from fieldfit.io.products import open_product
from fieldfit.report.design import pictures
from fieldfit.simulate.showers import deposits
from fieldfit.steps.estimate_toy import estimate_toy
from fieldfit.steps.evaluate_design import evaluate_design
from fieldfit.steps.optimise_material import optimise_material
from fieldfit.types import InputError

SHARED = Path(__file__).parents[1] / "../shared/data/design"
STUDY = Study(radius=2.0, mean_free_path=0.2, cutoff=1.5, mass_weight=0.2, region=Annulus(shape="annulus", inner=0.9, outer=1.7))
FIT = MaterialFit(steps=80, primaries=128, rate=2e-2, cells=24, evaluation_primaries=600)


def entry(**changes: object) -> Shower:
    return Shower(**{"model": "shower_2d", "study": STUDY, "seeds": (1, 2), "fit": FIT, **changes})


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("design")
    for seed in (1, 2):
        optimise_material(folder / f"{seed}.nc", entry(), seed)
    evaluate_design([folder / "1.nc", folder / "2.nc"], folder / "design.nc", entry())
    return folder / "design.nc"


def test_fitted_layouts_come_near_the_filled_region(design: Path):
    found = open_product(design, "design")
    loss = found.evaluation_loss.sel(candidate="binarised").values
    filled = found.evaluation_loss.sel(candidate="filled_region").values
    assert (loss < 1.25 * filled).all(), (loss, filled)
    uniform = loss_a_primary(STUDY, np.full((24, 24), 0.5), draw(STUDY, 600, np.random.default_rng(1))).mean()
    assert (found.evaluation_loss.sel(candidate="field").values < 0.7 * uniform).all()


def test_products_hold_what_the_contract_says(design: Path):
    found = open_product(design, "design")
    assert found.material.dims == ("seed", "y", "x")
    assert found.candidate.values.tolist() == ["field", "binarised", "best_ring", "filled_region"]
    assert float(found.material.min()) >= 0
    assert float(found.material.max()) <= 1
    assert (np.diff(found.x) > 0).all()
    assert (np.diff(found.y) > 0).all()
    assert found.loss.shape == (2, FIT.steps)
    assert np.isfinite(found.loss).all()
    assert (found.difference_to_ring.sel(candidate="best_ring") == 0).all()


def test_independent_simulation_agrees_with_the_evaluation(design: Path):
    found = open_product(design, "design")
    pulls = (found.check_loss - found.evaluation_loss) / np.hypot(found.check_loss_std, found.evaluation_loss_std)
    assert float(np.abs(pulls).max()) < 4


def test_load_field_gives_the_material_at_the_cells(design: Path):
    found = open_product(design, "design")
    x, y = np.meshgrid(found.x.values, found.y.values)
    values = load_field(design)(np.stack([x.ravel(), y.ravel()], 1))
    assert values.shape == (2, 24 * 24)
    assert np.allclose(values.reshape(2, 24, 24), found.material.values, atol=1e-5)


def test_one_seed_can_be_loaded_too(design: Path):
    assert load_field(design.with_name("1.nc"))(np.zeros((3, 2))).shape == (1, 3)


def test_same_seed_same_layout():
    short = FIT.model_copy(update={"steps": 3})
    assert np.array_equal(optimise(STUDY, short, 5).values, optimise(STUDY, short, 5).values)


def test_evaluation_errors_have_unit_pulls():
    layout = np.random.default_rng(3).uniform(0, 1, (16, 16))
    truth = 1 - deposits(STUDY, layout, 40000, np.random.default_rng(4)).mean() + STUDY.mass_weight * mass_of(STUDY, layout)
    ring = Ring((0.0, 0.0), 0.9, 1.7)
    pulls = []
    for k in range(60):
        result = evaluate(STUDY, candidates(STUDY, layout, ring), 100, np.random.default_rng([5, k]))
        pulls.append((result.loss[0] - truth) / result.std[0])
    assert abs(np.mean(pulls)) < 0.6
    assert 0.7 < np.std(pulls) < 1.35


def test_best_ring_is_no_worse_than_the_region_when_the_region_is_a_ring():
    ring = best_ring(STUDY, 24, np.random.default_rng(6))
    draws = draw(STUDY, 1500, np.random.default_rng(7))
    gap = loss_a_primary(STUDY, ring_material(STUDY, ring, 24), draws) - loss_a_primary(STUDY, filled_region(STUDY, 24), draws)
    assert gap.mean() < 3 * gap.std() / np.sqrt(gap.size) + 1e-9


def test_best_ring_finds_a_shifted_ring():
    study = STUDY.model_copy(update={"source": (0.3, 0.2), "region": Annulus(shape="annulus", centre=(0.3, 0.2), inner=0.6, outer=1.3)})
    ring = best_ring(study, 24, np.random.default_rng(8))
    assert ring.centre == (0.3, 0.2)
    assert ring.inner == pytest.approx(0.6, abs=0.2)


def test_layouts_of_different_rasters_are_refused(design: Path, tmp_path: Path):
    other = entry(fit=FIT.model_copy(update={"steps": 1, "cells": 16}))
    optimise_material(tmp_path / "3.nc", other, 3)
    with pytest.raises(InputError, match=r"3\.nc: a raster of 16 cells, expected 24"):
        evaluate_design([design.with_name("1.nc"), tmp_path / "3.nc"], tmp_path / "design.nc", entry())
    assert not (tmp_path / "design.nc").exists()


def test_missing_study_is_named():
    with pytest.raises(InputError, match=r"nowhere\.json: no such file, expected a JSON study"):
        load_study(entry(study=Path("nowhere.json")))


def test_source_outside_the_disc_is_refused():
    with pytest.raises(InputError, match=r"key 'source' is \(3\.0, 0\.0\), expected a point inside the disc of radius 2"):
        load_study(entry(study=STUDY.model_copy(update={"source": (3.0, 0.0)})))


def test_region_inside_out_is_refused(tmp_path: Path):
    region = EllipticAnnulus(shape="elliptic_annulus", inner=(1.0, 1.0), outer=(2.0, 0.5))
    path = tmp_path / "study.json"
    path.write_text(json.dumps(STUDY.model_copy(update={"region": region}).model_dump()))
    with pytest.raises(InputError, match=r"study\.json: key 'region' has inner \(1\.0, 1\.0\) and outer \(2\.0, 0\.5\), expected 0 < inner < outer"):
        load_study(entry(study=path))


def test_toy_product_names_its_estimators(tmp_path: Path):
    estimate_toy(tmp_path / "toy.nc", Toy(model="published_toy", events=60, scan=(1.0, 2.5)))
    found = open_product(tmp_path / "toy.nc", "toy")
    assert found.estimator.values.tolist() == ["score", "score_baseline", "numeric", "stochastic_ad"]
    assert found.gradient.shape == (4, 1)
    assert found.scan_threshold.values.tolist() == [1.0, 2.5]
    assert found.gradient_error.values * np.sqrt(60) == pytest.approx(found.gradient_std.values)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reference", "factor"), [("annulus", "best_ring", 1.05), ("displaced_ellipse", "filled_region", 1.05)])
def test_reference_studies_reach_their_references(name: str, reference: str, factor: float):
    path = SHARED / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"shared data absent: {path.name}")
    study = load_study(entry(study=path))
    material = optimise(study, MaterialFit(), 1).values.astype(float)
    ring = best_ring(study, 96, np.random.default_rng(9))
    result = evaluate(study, candidates(study, material, ring), 3000, np.random.default_rng(10))
    loss = dict(zip(("field", "binarised", "best_ring", "filled_region"), result.loss, strict=True))
    assert loss["binarised"] < factor * loss[reference]
    assert result.difference[1] < 3 * result.difference_std[1]


def test_report_draws_every_product_of_the_study(design: Path, tmp_path: Path):
    drawn = pictures(design)
    assert [picture.title for picture in drawn] == ["Material layout", "Candidates on held-out showers", "Loss while fitting"]
    assert all(picture.figures and picture.caption for picture in drawn)
    estimate_toy(tmp_path / "toy.nc", Toy(model="published_toy", events=50, scan=(1.0, 2.5)))
    assert len(pictures(tmp_path / "toy.nc")) == 2
    with pytest.raises(InputError, match="is a product of kind 'material', expected 'design'"):
        pictures(design.with_name("1.nc"))
