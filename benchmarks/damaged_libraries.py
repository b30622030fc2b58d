"""What a damaged LArSoft library gets here and from the common idiom, for every kind of damage that the tests write.

    uv run python benchmarks/damaged_libraries.py

The idiom: the tree's arrays by uproot, one assignment into a table of the size that the metadata say (or the config, where there are none).
It counts as silently wrong where it ends without an error and its table is not the sound one. Prints Markdown.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import uproot

from fieldfit.types import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from libraries import CHANNELS, DIVISIONS, truth
from test_damaged_libraries import LARSOFT, Damage, table_of


def idiom(path: Path) -> np.ndarray:
    """(channel, x, y, z), zeros where the file has no row."""
    with uproot.open(path) as file:
        tree = next(file[name] for name, kind in file.classnames().items() if kind == "TTree")
        found = tree.arrays(["Voxel", "OpChannel", "Visibility"], library="np")
        room = file["pmtresponse"] if "pmtresponse" in file else file
        divisions = [int(room[f"NDiv{a}"].member("_value")) if f"NDiv{a}" in room else n for a, n in zip("XYZ", DIVISIONS, strict=True)]
    flat = np.zeros((int(np.prod(divisions)), CHANNELS))
    flat[found["Voxel"], found["OpChannel"]] = found["Visibility"]
    return flat.T.reshape(CHANNELS, *divisions[::-1]).transpose(0, 3, 2, 1)


def by_idiom(path: Path) -> str:
    """What becomes of the file with the idiom."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = idiom(path)
    except Exception as error:  # whatever it is, the user sees it
        return f"{type(error).__name__}"
    sound = table.shape == truth().shape and np.allclose(table, truth(), rtol=1e-5)
    return "right" if sound else "**silently wrong**"


def here(path: Path, damage: Damage) -> str:
    """What becomes of it here."""
    try:
        table = table_of(path, damage)
    except InputError as error:
        return "refused: " + str(error).removeprefix(f"{path}: ")
    told = "; ".join(line.removeprefix(f"{path}: ") for line in table.findings)
    return f"{int(table.bad.sum())} values masked: {told}" if table.bad.any() else f"read: {told}"


def main() -> None:
    """Write each, read it twice, print."""
    print("| damage | policy | common idiom | fieldfit |\n|---|---|---|---|")
    wrong = 0
    for damage in LARSOFT:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "library.root"
            damage.write(path)
            common, own = by_idiom(path), here(path, damage)
        wrong += "silently" in common
        policy = ", ".join(f"{k}: {v}" for k, v in damage.quality.items()) or "default"
        print(f"| {damage.name} | {policy} | {common} | {own.replace('|', '/')} |")
    print(f"\nThe idiom reads {wrong} of {len(LARSOFT)} files silently wrong.")


if __name__ == "__main__":
    main()
