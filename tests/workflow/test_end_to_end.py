"""The smallest run of all three experiments goes from raw files to every product of the contract."""

import json

import netCDF4
import pytest
from compliance_checker.runner import CheckSuite, ComplianceChecker
from dag import TINY, snakemake

from fieldfit.contract.products import PRODUCTS
from fieldfit.contract.where import WHERE


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    run = snakemake(folder, "--config", "night=2026-11-25", config=TINY)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "results/report.html" in run.stdout + run.stderr
    return folder / "results"


def files(results, kind):
    return sorted(results.glob(WHERE[kind].format(run="*", block="*", detector="*", study="*", seed="*", name="*", calibration="*")))


@pytest.mark.parametrize("kind", list(PRODUCTS))
def test_every_kind_of_product_is_made_with_the_contracts_variables(results, kind):
    assert files(results, kind)
    for file in files(results, kind):
        with netCDF4.Dataset(file) as found:  # another reader than the writer's
            for name, variable in PRODUCTS[kind].items():
                if variable.required:
                    assert found[name].dimensions == tuple(variable.dims.split())
                if name in found.variables and not variable.text and not variable.flags:
                    assert found[name].units == variable.units
            assert found.Conventions == "CF-1.11"
            assert len(found.config_sha256) == 64
            assert found.inputs


def test_every_product_passes_the_cf_checker(results, tmp_path):
    CheckSuite.load_all_available_checkers()
    for kind in PRODUCTS:
        for file in files(results, kind):
            passed, errors = ComplianceChecker.run_checker(str(file), ["cf:1.11"], 0, "strict", output_filename=str(tmp_path / "cf.txt"))
            text = (tmp_path / "cf.txt").read_text()
            assert not errors, file
            assert "Errors" not in text.split("Warnings")[0], f"{file}\n{text}"
            assert passed in (True, False)


def test_a_visibility_is_exported_for_other_tools(results):
    found = {path.name for path in (results / "dune/box/export").iterdir() if path.name != ".snakemake_timestamp"}
    tables = {"photon_library.root", "light_lut.npz", "photonlib.h5"}
    assert found == tables | {"weights.safetensors", "evaluate.py", "visibility.onnx", "efficiency.json"}


def test_report_is_one_file_with_its_pictures_inside(results):
    page = (results / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 8
    assert 'src="http' not in page
    for name in ("clouds", "pictures", "ports", "triplets", "box", "ring", "toy", "scan"):
        assert f'id="{name}"' in page or f'-{name}"' in page


def test_a_night_has_its_own_page_and_alarms(results):
    page = (results / "report/2026-11-25/night.html").read_text()
    assert page.count("data:image/png;base64,") >= 5
    assert 'src="http' not in page
    assert "gradio-2026-11-25" in page
    told = json.loads((results / "report/2026-11-25/alarms.json").read_text())
    assert told["finished"]
    assert told["runs"]["gradio-2026-11-25"]["figures"]["shots received"] == {"value": 60, "units": "1"}
    assert any(alarm["figure"] == "position a shot" for alarm in told["alarms"])  # the demo's clouds wander by 60 um


def test_nothing_unfinished_is_left(results):
    left = [
        path for path in results.rglob("*") if path.suffix in (".part", ".tmp") or (path.name.startswith(".") and path.name != ".snakemake_timestamp")
    ]
    assert left == []
