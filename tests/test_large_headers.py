"""A small file that promises a large one is refused, or its shot flagged, before memory is taken."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits

from alone import alone
from readings import READINGS

MOST_GROWN = 200  # MB
BY_NAME = {reading.name: reading for reading in READINGS}
EDGE = 10**6


def tiff(entries: dict[int, tuple[int, int, int]], following: int = 0) -> bytes:
    """One page with tags {code: (type, count, value)}; following: offset of the next page."""
    tags = b"".join(struct.pack("<HHII", code, *entries[code]) for code in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags + struct.pack("<I", following) + b"\0" * 64


def page(edge: int, **more: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    short, long = 3, 4
    found = {256: (long, 1, edge), 257: (long, 1, edge), 258: (short, 1, 16), 259: (short, 1, 1), 262: (short, 1, 1), 277: (short, 1, 1)}
    return found | {273: (long, 1, 8), 278: (long, 1, edge), 279: (long, 1, 100)} | {int(code[1:]): value for code, value in more.items()}


BAD_TIFFS = {
    "a million pixels along each edge": tiff(page(EDGE)),
    "packed": tiff(page(EDGE, t259=(3, 1, 8))),
    "a thousand million strips": tiff(page(24, t273=(4, 10**9, 8), t279=(4, 10**9, 8))),
    "a description of gigabytes": tiff(page(24, t270=(2, 4 * 10**9, 8))),
    "pages in a circle": tiff(page(24), following=8),
    "a page behind the end": tiff(page(24), following=10**9),
    "a million tiles": tiff(page(EDGE, t322=(4, 1, 16), t323=(4, 1, 16), t324=(4, 1, 8), t325=(4, 1, 8))),
    "65535 tags": b"II*\0" + struct.pack("<IH", 8, 65535) + b"\1" * 200,
}


@pytest.mark.parametrize("name", ["tiff", "tiff views", "absorption"])
@pytest.mark.parametrize("told", BAD_TIFFS)
def test_a_tiff_flags_its_shot(tmp_path: Path, name: str, told: str) -> None:
    path = BY_NAME[name].write(tmp_path)
    path.write_bytes(BAD_TIFFS[told])
    answer = alone(lambda: BY_NAME[name].read(path))
    assert not answer.refusal and answer.grown < MOST_GROWN
    flags = answer.value[1].tolist() if name != "absorption" else [0 if isinstance(shot, np.ndarray) else int(shot) for shot in answer.value]
    assert flags[0] == 0 and flags[1] > 0


def test_a_run_of_triplets_that_all_promise_too_much_has_no_shots(tmp_path: Path) -> None:
    BY_NAME["absorption"].write(tmp_path)
    for path in tmp_path.glob("*.tif"):
        path.write_bytes(tiff(page(EDGE)))
    answer = alone(lambda: BY_NAME["absorption"].read(tmp_path / "Image_1.tif"))
    assert answer.grown < MOST_GROWN and "not an InputError" not in answer.refusal
    assert all(not isinstance(shot, np.ndarray) for shot in answer.value)


def axes(path: Path, **cards: int) -> None:
    unit = fits.PrimaryHDU(np.zeros((24, 21), np.uint8))
    unit.writeto(path, overwrite=True)
    data = path.read_bytes()
    for key, value in cards.items():
        start = data.index(f"{key:8}=".encode())
        data = data[:start] + f"{key:8}={value:21d}".encode().ljust(80) + data[start + 80 :]
    path.write_bytes(data)


@pytest.mark.parametrize("cards", [{"NAXIS1": EDGE, "NAXIS2": EDGE}, {"NAXIS1": 10**17, "NAXIS2": 10**17}, {"NAXIS1": -5}, {"NAXIS": 999}])
def test_a_fits_flags_its_shot(tmp_path: Path, cards: dict[str, int]) -> None:
    path = BY_NAME["fits"].write(tmp_path)
    axes(path, **cards)
    answer = alone(lambda: BY_NAME["fits"].read(path))
    assert not answer.refusal and answer.value[1].tolist()[1] > 0 and answer.grown < MOST_GROWN


def unwritten(shape: tuple[int, ...], kind: object = "f8") -> dict[str, object]:
    """Nothing is stored of it."""
    return {"shape": shape, "dtype": kind, "chunks": tuple(min(n, 8) for n in shape)}


def zeros(shape: tuple[int, ...], kind: object = "f8") -> dict[str, object]:
    """Of which every chunk is there: megabytes that stand for gigabytes."""
    return {"shape": shape, "dtype": kind, "chunks": (1 << 22, *shape[1:]), "compression": 9}


LARGE = 3 * 2**27
HITS = [("segment_id", "u4"), ("n_photons_det", "f4")]
BAD_HDF5 = [
    ("hdf5", {"shot": unwritten((LARGE,), "i8")}, "'shot' of shape"),
    ("ports", {"counts": unwritten((LARGE, 3, 2))}, "dataset '"),
    ("tracks", {"point_cm": unwritten((LARGE, 3))}, "'point_cm' of shape"),
    ("tracks", {"saturation_pe": unwritten((LARGE,))}, "'saturation_pe' of shape"),
    ("tracks", {"saturation_pe": zeros((LARGE,))}, "takes 3221225472 bytes, expected 1073741824 at most"),
    ("flashes", {"pe_measured": unwritten((LARGE, 3))}, "'pe_measured' of shape"),
    ("data exchange", {"exchange/data": unwritten((LARGE, 2, 20))}, "'exchange/data' of shape"),
    ("photonlib_h5", {"vis": unwritten((LARGE, 6), "f4")}, "'vis' of shape"),
    ("photonlib_h5", {"numvox": unwritten((LARGE,))}, "numvox has shape"),
    ("photonlib_h5", {"eff": unwritten((LARGE,))}, "eff has shape"),
    ("hits", {"segments": unwritten((LARGE,), [(name, "f4") for name in ("x", "y", "z", "n_photons")])}, "segments' of shape"),
    ("hits", {"light_dat/light_dat_allmodules": unwritten((LARGE, 6), HITS)}, "light_dat_allmodules' of shape"),
]


@pytest.mark.parametrize(("name", "datasets", "told"), BAD_HDF5, ids=lambda value: value if isinstance(value, str) else next(iter(value)))
def test_an_hdf5_header_is_not_believed(tmp_path: Path, name: str, datasets: dict[str, dict], told: str) -> None:
    path = BY_NAME[name].write(tmp_path)
    with h5py.File(path, "r+") as file:
        for dataset, keys in datasets.items():
            if dataset in file:
                del file[dataset]
            made = file.create_dataset(dataset, **keys)
            if "compression" in keys:  # the same bytes for every chunk
                packed = zlib.compress(bytes(int(np.prod(made.chunks)) * made.dtype.itemsize), 9)
                for first in range(0, made.shape[0], made.chunks[0]):
                    made.id.write_direct_chunk((first, *[0] * (made.ndim - 1)), packed)
    answer = alone(lambda: BY_NAME[name].read(path))
    assert told in answer.refusal and path.name in answer.refusal and "not an InputError" not in answer.refusal
    assert answer.grown < MOST_GROWN


def header(shape: tuple[int, ...], kind: object = "<u2") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)


def bomb(path: Path, key: str, shape: tuple[int, ...], kind: object) -> None:
    """Zeros of gigabytes, as many as the header says."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("pixel_object_m.npy", header((), "<f8") + struct.pack("<d", 2e-5))
        with file.open(f"{key}.npy", "w", force_zip64=True) as stream:
            stream.write(header(shape, kind))
            for _ in range(size >> 24):
                stream.write(bytes(1 << 24))


RECORD = [("vis", "<f4"), ("t0", "<f4")]
PIXEL = ("pixel_object_m.npy", header((), "<f8") + struct.pack("<d", 2e-5))
FRAMES = ("frames.npy", header((2, 8, 8)) + bytes(256))
BAD_NPZ: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "pictures: gigabytes of zeros": ("pictures", lambda p: bomb(p, "frames", (2**8, 2**10, 2**10), "<u4"), "268435456|pixels at most"),
    "pictures: a header alone": ("pictures", lambda p: archive(p, [PIXEL, ("frames.npy", header((EDGE, EDGE, 9)))]), "the file holds 0"),
    "pictures: a negative size": ("pictures", lambda p: archive(p, [PIXEL, ("frames.npy", header((-1, 8, 8)))]), "no negative size"),
    "pictures: a key twice": ("pictures", lambda p: archive(p, [PIXEL, FRAMES, FRAMES]), "key frames is there 2 times"),
    "pictures: LZMA": ("pictures", lambda p: archive(p, [PIXEL, FRAMES], zipfile.ZIP_LZMA), "packed by method 14, expected stored or deflated"),
    "pictures: an archive inside": ("pictures", lambda p: archive(p, [PIXEL, ("frames.npy", b"PK\3\4" * 99)]), "key frames has no NumPy header"),
    "pictures: a path": ("pictures", lambda p: archive(p, [PIXEL, ("../frames.npy", FRAMES[1])]), "no key frames .keys found: ../frames"),
    "larndsim: a header alone": ("larndsim_npz", lambda p: archive(p, [("arr.npy", header((EDGE, EDGE, 9, 6), RECORD))]), "the file holds 0"),
    "larndsim: gigabytes of zeros": ("larndsim_npz", lambda p: bomb(p, "arr", (2**10, 2**7, 2**5, 2**6), RECORD), "voxels along x, y, z"),
    "larndsim: a key twice": (
        "larndsim_npz",
        lambda p: archive(p, [("arr.npy", header((1, 1, 1, 1), RECORD) + bytes(8))] * 2),
        "arr is there 2 times",
    ),
    "larndsim: a record of megabytes": (
        "larndsim_npz",
        lambda p: archive(p, [("arr.npy", header((1, 1, 1, 1), [("vis", "<f4"), ("t0", "<f4", (10**6,))]) + bytes(4 * 10**6 + 4))]),
        "records of 4000004 bytes",
    ),
    "larndsim: objects": ("larndsim_npz", lambda p: archive(p, [("arr.npy", header((1,), "|O") + b"cos\nsystem\n.")]), "nothing is unpickled"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", BAD_NPZ)
def test_an_npz_is_refused_by_its_key(tmp_path: Path, case: str) -> None:
    name, write, told = BAD_NPZ[case]
    path = BY_NAME[name].write(tmp_path)
    write(path)
    answer = alone(lambda: BY_NAME[name].read(path))
    assert re.search(told, answer.refusal) and path.name in answer.refusal and "not an InputError" not in answer.refusal
    assert answer.grown < MOST_GROWN


def test_an_stl_that_counts_too_many_triangles_is_refused(tmp_path: Path) -> None:
    path = BY_NAME["stl"].write(tmp_path)
    path.write_bytes(bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(500))
    answer = alone(lambda: BY_NAME["stl"].read(path))
    assert "584 bytes for the 4294967295 triangles of its header" in answer.refusal and answer.grown < MOST_GROWN


@pytest.mark.parametrize("name", ["cameras json", "cameras yaml", "channels", "study", "target"])
def test_a_text_of_gigabytes_is_not_read(tmp_path: Path, name: str) -> None:
    path = BY_NAME[name].write(tmp_path)
    with path.open("r+b") as file:
        file.truncate(1 << 30)  # no blocks of the disk behind it
    answer = alone(lambda: BY_NAME[name].read(path))
    assert "1073741824 bytes, expected" in answer.refusal and path.name in answer.refusal and answer.grown < MOST_GROWN
