"""`fieldfit completion`: the scripts complete verbs, options and NetCDF files in a shell."""

import shutil
import subprocess

import pytest

from fieldfit.command.completion import SHELLS, completion
from fieldfit.command.main import parser


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script_with_all_verbs(shell):
    script = completion(parser(), shell)
    for verb in ("init", "check", "show", "explain"):
        assert verb in script


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes_verbs_options_and_products(folder):
    (folder / "results").mkdir()
    (folder / "phase.nc").touch()
    (folder / "phase.txt").touch()
    (folder / "script").write_text(completion(parser(), "bash"))

    def completed(*words: str) -> set[str]:
        listed = " ".join(f"'{word}'" for word in words)
        call = f"source ./script; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _shtab_fieldfit; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return set(subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=True).stdout.split())

    assert completed("fieldfit", "ex") == {"explain"}
    assert completed("fieldfit", "show", "--c") == {"--csv"}
    assert completed("fieldfit", "explain", "") >= {"phase.nc", "results"}
    assert "phase.txt" not in completed("fieldfit", "explain", "ph")
    assert completed("fieldfit", "init", "--experiment", "do") == set()
    assert completed("fieldfit", "init", "--experiment", "por") == {"ports"}
