"""`fieldfit verify`: what a product's checksum says of it, and how a corrupted one is made again."""

import os
import shlex
import subprocess

from fieldfit.command.main import main
from fieldfit.provenance import checksum_file


def flip(path, at=-100):
    """Turn one byte over, and leave the file's time as it was: a disk's error."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_products_that_are_what_they_were_are_counted(night, capsys):
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "3 products: 3 intact\n"


def test_a_corrupted_product_is_named_with_the_command_that_makes_it_again(night, capsys):
    flip(night)
    assert main(["verify"]) == 1
    told = capsys.readouterr().out
    assert "3 products: 2 intact, 1 CORRUPTED" in told
    assert f"  {night}: CORRUPTED" in told
    assert f"rm -f {night}" in told
    assert told.rstrip().endswith(f"--configfile config.yaml {night}")
    assert main(["verify", str(night)]) == 1
    assert main(["verify", str(night.parent), str(night.parent.parent / "electrons")]) == 1
    assert "2 products: 1 intact, 1 CORRUPTED" in capsys.readouterr().out


def test_a_product_without_a_checksum_is_told_and_no_error(night, capsys):
    later = checksum_file(night).stat().st_mtime_ns + 10**9
    os.utime(night, ns=(later, later))  # as Snakemake does when the job has ended
    checksum_file(night.parent.parent / "electrons/0000.nc").unlink()
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 products: 2 intact, 1 without a checksum",
        f"  {night.parent.parent / 'electrons/0000.nc'}: without a checksum",
    ]


def test_a_product_that_is_gone_is_told_by_its_checksum(night, capsys):
    night.unlink()
    assert main(["verify"]) == 1
    assert f"{night}: ABSENT, its checksum is there" in capsys.readouterr().out


def test_a_file_on_its_way_is_no_product(night, capsys):
    (night.parent / ".node.12~0001.nc").write_bytes(b"half")
    assert main(["verify"]) == 0
    assert "3 products: 3 intact" in capsys.readouterr().out


def test_a_folder_without_products_is_refused(folder, capsys):
    assert main(["verify"]) == 1
    assert "fieldfit: results: no such file or folder" in capsys.readouterr().err
    (folder / "results").mkdir()
    assert main(["verify"]) == 1
    assert "fieldfit: results: no products" in capsys.readouterr().err


def test_the_recorded_line_is_one_that_sha256sum_reads(night):
    assert subprocess.run(shlex.split("sha256sum --check --status 0000.nc.sha256"), cwd=night.parent, check=False).returncode == 0
