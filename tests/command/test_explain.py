"""`fieldfit explain`: from a product to its code, inputs and the command that makes it again."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from fieldfit.command import main
from fieldfit.config.load import load_entry
from fieldfit.io.products import product, write_product

KEYS = {"format": "larsoft", "library": "library.root", "channels": "channels.json"}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """results/dune/mini/flashes.nc below an empty folder, with one input beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "library.root").write_bytes(b"rows")
    path = tmp_path / "results/dune/mini/flashes.nc"
    path.parent.mkdir(parents=True)
    one, three = np.ones(1), np.ones((1, 3))
    values = dict.fromkeys(("charge", "charge_std", "chi2_reduced"), one) | dict.fromkeys(("position", "position_std", "position_looked_up"), three)
    values |= {"pe_measured": three, "pe_predicted": three, "status": np.zeros(1, int), "channel_position": np.zeros((3, 3))}
    entry = load_entry("dune", KEYS | {"seed": 7})
    dataset = product("flashes", values, {"axis": np.array(["x", "y", "z"])})
    write_product(dataset, path, [Path("library.root")], entry.model_dump(mode="json"), "Flashes", "match_flashes", 7)
    return path


def test_a_product_tells_where_it_comes_from(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "results/dune/mini/flashes.nc"]) == 0
    told = capsys.readouterr().out
    for part in ("Flashes", "made by   match_flashes of fieldfit", "commit", "python 3", "torch", "seed      7", "library.root: unchanged"):
        assert part in told
    assert "uv run snakemake --cores all --configfile again.yaml --force results/dune/mini/flashes.nc" in told


@pytest.mark.parametrize(("change", "told"), [(b"other rows", "library.root: CHANGED since: sha256"), (None, "library.root: absent now")])
def test_an_input_that_is_another_now_is_told(made: Path, capsys: pytest.CaptureFixture[str], change: bytes | None, told: str) -> None:
    raw = Path("library.root")
    raw.unlink() if change is None else raw.write_bytes(change)
    assert main(["explain", str(made)]) == 0
    assert told in capsys.readouterr().out


def test_the_entry_that_is_printed_makes_the_product_again(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(made), "--config"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert load_entry("dune", found["dune"]["mini"]) == load_entry("dune", KEYS | {"seed": 7})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("results/dune/mini/none.nc", "no such file"),
        ("library.root", "cannot be read as NetCDF"),
        ("flashes.nc", "does not lie below a folder results/"),
    ],
)
def test_what_is_no_product_is_told(made: Path, capsys: pytest.CaptureFixture[str], name: str, told: str) -> None:
    Path("flashes.nc").write_bytes(made.read_bytes())
    assert main(["explain", name]) == 1
    found = capsys.readouterr().err
    assert found.startswith("fieldfit: ") and name in found and told in found
