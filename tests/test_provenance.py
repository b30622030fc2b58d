"""A step's hash covers what it imports, and nothing else."""

import ast

import pytest

from fieldfit import provenance
from fieldfit.provenance import code_hash, import_closure, sha256


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: step -> physics; other stands alone."""
    for name, text in {"step": "from fieldfit.physics import law\n", "physics": "law = 1\n", "other": "x = 1\n"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)

    def forget():
        for cached in (provenance.import_closure, provenance.code_hash, provenance._imports):
            cached.cache_clear()

    forget()
    yield tmp_path, forget
    monkeypatch.undo()
    forget()


def test_edit_of_an_imported_module_changes_the_hash(package):
    folder, forget = package
    before = code_hash("fieldfit.step")
    (folder / "physics.py").write_text("law = 2\n")
    forget()
    assert code_hash("fieldfit.step") != before


def test_edit_of_another_module_leaves_the_hash(package):
    folder, forget = package
    before = code_hash("fieldfit.step")
    (folder / "other.py").write_text("x = 2\n")
    forget()
    assert code_hash("fieldfit.step") == before


def test_imports_are_those_of_the_syntax_tree():
    """Read by a pattern, which is what a job of a cluster has time for."""
    for path in provenance.PACKAGE.rglob("*.py"):
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        name = ".".join(["fieldfit", *path.relative_to(provenance.PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        if name != "fieldfit":
            assert set(provenance._imports(name)) == {one for one in found if one.startswith("fieldfit.") and provenance._find(one)}, path


def test_unknown_module_is_named(package):
    with pytest.raises(ModuleNotFoundError, match=r"fieldfit.absent: no such module"):
        import_closure("fieldfit.absent")


def test_closures_keep_the_experiments_apart():
    for step, foreign in {"fit_density": "dune", "fit_visibility": "magis", "optimise_material": "magis", "fit_gradiometer": "design"}.items():
        assert not [m for m in import_closure(f"fieldfit.steps.{step}") if m.startswith(f"fieldfit.experiments.{foreign}")]


def test_rule_script_step_and_log_share_one_name(checkout):
    rules = "".join(path.read_text() for path in (checkout / "workflow/rules").glob("*.smk"))
    for script in (checkout / "workflow/scripts").glob("*.py"):
        assert (checkout / f"src/fieldfit/steps/{script.stem}.py").is_file()
        assert f"from fieldfit.steps.{script.stem} import {script.stem}" in script.read_text()
        assert f"/{script.stem}" in rules
        assert len(script.read_text().splitlines()) <= 15


def test_checksum_of_a_folder_covers_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256(tmp_path) != first
