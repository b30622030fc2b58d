"""Snakemake does not see edits in an imported package; the hash in a rule's params does, and reruns what an edit affects and only that."""

import shutil

import pytest
from dag import CHECKOUT, TINY, jobs_of, only, snakemake

CONFIG = only(TINY, "pictures", "toy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two experiments through a copy of the package that can be edited."""
    folder = tmp_path_factory.mktemp("reruns")
    package = folder / "src"
    shutil.copytree(CHECKOUT / "src", package, ignore=shutil.ignore_patterns("__pycache__"))
    run = snakemake(folder, config=CONFIG, package=package)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder, package


def jobs_after_editing(finished, module: str) -> set[str]:
    folder, package = finished
    file = package / "fieldfit" / module
    text = file.read_text()
    file.write_text(text + "\nEDITED = True\n")
    try:
        return set(jobs_of(snakemake(folder, "-n", config=CONFIG, package=package)))
    finally:
        file.write_text(text)


def test_a_finished_run_has_nothing_to_do(finished):
    folder, package = finished
    run = snakemake(folder, "-n", config=CONFIG, package=package)
    assert "Nothing to be done" in run.stdout + run.stderr


def test_an_edit_of_one_experiments_module_reruns_its_steps_only(finished):
    assert jobs_after_editing(finished, "experiments/design/toy.py") == {"all", "estimate_toy", "write_report"}
    assert jobs_after_editing(finished, "experiments/magis/pictures.py") == {"all", "fit_pictures", "write_report"}


def test_an_edit_of_the_third_experiment_reruns_nothing(finished):
    assert jobs_after_editing(finished, "experiments/dune/visibility.py") == set()


def test_an_edit_of_the_simulation_reruns_what_follows_from_it(finished):
    assert jobs_after_editing(finished, "simulate/pictures.py") == {"all", "simulate_pictures_pictures", "fit_pictures", "write_report"}


def test_an_edit_of_one_entry_reruns_its_steps_only(finished):
    folder, package = finished
    changed = CONFIG | {"design": {"toy": CONFIG["design"]["toy"] | {"events": 60}}}
    assert set(jobs_of(snakemake(folder, "-n", config=changed, package=package))) == {"all", "estimate_toy", "write_report"}
