"""`fieldfit explain`: from a product to its code, inputs and the command that makes it again."""

import re
from pathlib import Path

import pytest
import yaml

from fieldfit.command.main import main
from fieldfit.config.load import load_entry


def test_a_product_tells_where_it_comes_from(made: Path, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "results/dune/mini/flashes.nc"]) == 0
    told = capsys.readouterr().out
    for part in ("Flashes", "match_flashes of fieldfit", "commit", "python 3", "torch", "entry dune.mini", "library.root: unchanged"):
        assert part in told
    assert re.search(r"seed +7\n", told)
    assert re.search(r"calibrations +none\n", told)
    assert f"snakemake --cores all --snakefile {checkout / 'Snakefile'} --configfile again.yaml --force results/dune/mini/flashes.nc" in told


def test_from_another_folder_the_command_begins_where_the_product_was_made(made: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.chdir(made.parent)
    assert main(["explain", "flashes.nc"]) == 0
    told = capsys.readouterr().out
    assert f"cd {made.parents[3]}\n" in told
    assert "fieldfit explain results/dune/mini/flashes.nc --config > again.yaml" in told


def test_a_night_tells_which_calibrations_hold_and_until_when(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(night)]) == 0
    told = capsys.readouterr().out
    assert "spring: valid from 2027-03-01 00:00:00 UTC until 2027-04-01 00:00:00 UTC" in told
    assert "dark00.tif" not in told


def test_the_chain_goes_down_to_the_raw_files(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dark03.tif").write_text("another")
    assert main(["explain", str(night), "--chain"]) == 0
    lines = [line.removeprefix("  inputs       ").strip() for line in capsys.readouterr().out.splitlines()]
    electrons = lines.index("results/magis/night/electrons/0000.nc [calibrate_frames]: unchanged")
    sensor = lines.index("results/magis/night/sensor/spring.nc [characterise_sensor]: unchanged")
    assert electrons < lines.index("shot000.tif: unchanged") < sensor < lines.index("dark00.tif: unchanged")
    assert any(line.startswith("dark03.tif: CHANGED since") for line in lines)


def test_many_files_of_one_fate_are_one_line(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "results/magis/night/sensor/spring.nc"]) == 0
    assert "./: 9 files, dark00.tif to dark08.tif: unchanged" in capsys.readouterr().out


def test_the_entry_of_a_density_names_the_calibrations_of_its_electrons(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(night), "--config"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert list(load_entry("magis", found["magis"]["night"]).calibrations) == ["spring"]


@pytest.mark.parametrize(("change", "told"), [(b"other rows", "library.root: CHANGED since: sha256"), (None, "library.root: absent now")])
def test_an_input_that_is_another_now_is_told(made: Path, capsys: pytest.CaptureFixture[str], change: bytes | None, told: str) -> None:
    raw = Path("library.root")
    raw.unlink() if change is None else raw.write_bytes(change)
    assert main(["explain", str(made)]) == 0
    assert told in capsys.readouterr().out


def test_the_entry_that_is_printed_makes_the_product_again(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(made), "--config"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert load_entry("dune", found["dune"]["mini"]) == load_entry(
        "dune", {"format": "larsoft", "library": "library.root", "channels": "channels.json", "seed": 7}
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("results/dune/mini/none.nc", "no such file"),
        ("results/dune/mini/flash.nc", "did you mean 'results/dune/mini/flashes.nc'?"),
        ("library.root", "cannot be read as NetCDF"),
        ("flashes.nc", "does not lie below a folder results/"),
    ],
)
def test_what_is_no_product_is_told(made: Path, capsys: pytest.CaptureFixture[str], name: str, told: str) -> None:
    Path("flashes.nc").write_bytes(made.read_bytes())
    assert main(["explain", name]) == 1
    found = capsys.readouterr().err
    assert found.startswith("fieldfit: ") and name in found and told in found
