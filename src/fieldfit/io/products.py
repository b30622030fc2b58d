"""Products: NetCDF-4 files built from the contract, written whole or not at all."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import h5netcdf
import h5py
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from fieldfit.contract.coordinates import COORDINATES
from fieldfit.contract.products import PRODUCTS
from fieldfit.contract.variable import Variable
from fieldfit.hdf5 import check_own, dataset_in, member_in, names_in, opened
from fieldfit.io.whole import whole
from fieldfit.provenance import attributes, checksum_file, sha256
from fieldfit.types import InputError, nearest

LEVEL = 1  # of compression: more takes several times as long and saves a few percent
LONG = 1 << 20  # places of a dimension beyond which its count is made while it is written


@dataclass(frozen=True)
class Packed:
    """Variables whose chunks are one for each place of their first dimension, and these place by place, by name, as `pack` makes them.

    Packing is most of the work of a large product: whoever is there can do it.
    """

    names: tuple[str, ...]
    chunks: Iterable[Mapping[str, bytes]]


def product(kind: str, values: Mapping[str, Any], coordinates: Mapping[str, Any], **attrs: str) -> xr.Dataset:
    """A Dataset of one kind of the contract.

    values: one array a variable, with the dimensions that `contract.products.PRODUCTS[kind]` gives it.
    coordinates: values of the dimensions; one that is left out is counted 0, 1, 2, ...
    Raises ValueError when a variable is unknown, missing, or has other dimensions: a mistake of the step, not of the user.
    """
    table = PRODUCTS[kind]
    unknown = [name for name in values if name not in table]
    absent = [name for name, v in table.items() if v.required and name not in values]
    if unknown or absent:
        raise ValueError(f"product {kind}: unknown variables {unknown}, missing variables {absent}")
    data = {}
    for name, value in values.items():
        dims = table[name].dims.split()
        array = value if hasattr(value, "dask") else np.asarray(value)
        if array.ndim != len(dims):
            raise ValueError(f"product {kind}: {name} has shape {array.shape}, the contract says ({table[name].dims})")
        data[name] = xr.Variable(dims, _typed(array, table[name]), _attributes(table[name]))
    dataset = xr.Dataset(data)
    for dim in dataset.sizes:
        known = COORDINATES[str(dim)]
        if str(dim) not in coordinates and dataset.sizes[dim] > LONG:  # an index would hold it in memory
            count = xr.Variable((dim,), da.arange(dataset.sizes[dim], dtype=np.int32, chunks=LONG), _attributes(known))
            dataset = dataset.assign_coords(xr.Coordinates({dim: count}, indexes={}))
            continue
        ticks = np.asarray(coordinates.get(str(dim), np.arange(dataset.sizes[dim], dtype=np.int32)))
        dataset = dataset.assign_coords({dim: xr.Variable((dim,), ticks.astype(object) if known.text else _narrow(ticks), _attributes(known))})
    return dataset.assign_attrs(product=kind, **attrs)


def write_product(
    dataset: xr.Dataset,
    path: Path,
    inputs: Iterable[Path],
    config: Any,
    title: str,
    step: str,
    seed: int | None = None,
    packed: Packed | None = None,
) -> None:
    """Write `dataset` with provenance, compressed, under a temporary name in the same folder, then rename it; its checksum beside it.

    packed: variables that are packed elsewhere; their arrays in the dataset tell shape and type, and are not computed.

    The checksum is of the file as it was written: what changed since can be told, and readers take it for their provenance (`provenance.checksum`).
    Raises InputError where the disk is full or read-only.
    """
    path = Path(path)
    dataset = dataset.assign_attrs(attributes(inputs, config, seed, title, step))
    dataset = numbered(dataset)
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "OUS":
            continue
        known: dict[str, Any] = {"_FillValue": np.nan if variable.dtype.kind == "f" and name not in dataset.coords else None}
        if name not in dataset.coords and variable.size and (variable.dtype.kind == "f" or variable.ndim > 2) and variable.ndim:
            largest = tuple(max(each) for each in variable.chunks) if variable.chunks else variable.shape
            chunks = tuple(
                1 if dim in ("shot", "channel", "timing") and variable.ndim > 2 else size for dim, size in zip(variable.dims, largest, strict=True)
            )
            known |= {"zlib": True, "complevel": LEVEL, "shuffle": True, "chunksizes": chunks}
        encoding[str(name)] = known
    with whole(path) as unfinished:
        later = packed.names if packed else ()
        dataset.drop_vars(later).to_netcdf(
            unfinished, engine="h5netcdf", encoding={name: known for name, known in encoding.items() if name not in later}
        )
        if packed:
            _write_packed(unfinished, {name: dataset[name].variable for name in later}, packed.chunks)
        checksum = sha256(unfinished)
        checksum_file(path).unlink(missing_ok=True)  # of the product before: killed here, the new one has none, whatever the clock says
    with whole(checksum_file(path)) as unfinished:
        unfinished.write_text(f"{checksum}  {path.name}\n")


def pack(chunk: NDArray[Any]) -> bytes:
    """A chunk as the filters of `write_product`, shuffle and deflate at level 1, leave it in the file."""
    bytewise = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).reshape(-1, chunk.itemsize)
    return zlib.compress(bytewise.T.tobytes(), LEVEL)


def _write_packed(path: Path, variables: Mapping[str, xr.Variable], places: Iterable[Mapping[str, bytes]]) -> None:
    """Add variables whose chunks are packed already, one for each place of the first dimension."""
    with h5netcdf.File(path, "a") as file:
        for name, variable in variables.items():
            kind = {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True, "chunks": (1, *variable.shape[1:])}
            made = file.create_variable(name, [str(dim) for dim in variable.dims], variable.dtype, fillvalue=np.array(np.nan, variable.dtype), **kind)
            made.attrs.update(variable.attrs)
    with h5py.File(path, "r+") as file:
        for place, chunks in enumerate(places):
            for name, chunk in chunks.items():
                file[name].id.write_direct_chunk((place,) + (0,) * (file[name].ndim - 1), chunk)


def by_channel(read: Callable[[int], NDArray[Any]], channels: int, shape: tuple[int, ...], kind: Any) -> da.Array:
    """(channel, *shape) of type `kind`, made one channel at a time as it is written; read: channel -> array of that shape."""
    return da.stack([da.from_delayed(delayed(read)(c), shape, kind) for c in range(channels)])


def in_blocks(read: Callable[[slice], NDArray[Any]], parts: Sequence[slice], before: tuple[int, ...]) -> da.Array:
    """(*before, place) of float64, made one part of the places at a time as it is written; read: part -> array of that shape."""
    return da.concatenate([da.from_delayed(delayed(read)(p), (*before, p.stop - p.start), np.float64) for p in parts], axis=-1)


def attributes_of(path: Path, expected: str) -> dict[str, Any]:
    """The attributes of a NetCDF file. Raises InputError when it is absent or none; expected: what it should be, in words."""
    with opened(path, expected, form="NetCDF") as file:
        _check_own(file, path)
        return _attributes_in(file)


def provenance_line(path: Path) -> tuple[str, str]:
    """(path, what made it) of a product."""
    a = attributes_of(path, "a product")
    code = f"fieldfit {a['fieldfit_version']}, commit {a['git_commit'][:12]}"
    return str(path), f"{a['title']}; {code}, configuration {a['config_sha256'][:12]}, seed {a['seed']}"


def open_product(path: Path, kind: str, chunks: Mapping[str, int] | None = None) -> xr.Dataset:
    """The product at `path`, with dask arrays when `chunks` are given ({}: those that it is stored in), loaded otherwise.

    Raises InputError when the file is absent, no NetCDF, another kind of product, or lacks a variable of the contract.
    """
    path = Path(path)
    with opened(path, f"a {kind} product", form="NetCDF") as file:
        _check_own(file, path)
    try:
        dataset = xr.open_dataset(path, engine="h5netcdf", decode_times=False, chunks=chunks, create_default_indexes=False)
        if chunks is None:
            dataset = dataset.load()
            dataset.close()
        for dim, size in dataset.sizes.items():
            if dim in dataset.coords and size <= LONG:  # an index of a longer one would hold it in memory
                dataset = dataset.set_xindex(str(dim))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as NetCDF ({error}), expected a {kind} product") from None
    found = dataset.attrs.get("product")
    if found != kind:
        raise InputError(f"{path}: is a product of kind {found!r}, expected {kind!r}{nearest(str(found), PRODUCTS)}")
    absent = [name for name, v in PRODUCTS[kind].items() if v.required and name not in dataset]
    if absent:
        raise InputError(f"{path}: variables {', '.join(absent)} are missing, expected them in a {kind} product")
    return labelled(dataset)


def read_columns(path: Path, kind: str, names: Iterable[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """(values of the variables of these names that the product at `path` has, its attributes).

    For the few numbers a shot in thousands of files of large arrays: h5py opens one 50 times faster than xarray.
    Raises InputError as `open_product` does.
    """
    with opened(path, f"a {kind} product", form="NetCDF") as file:
        attrs = _attributes_in(file)
        found = attrs.get("product")
        if found != kind:
            raise InputError(f"{path}: is a product of kind {found!r}, expected {kind!r}{nearest(str(found), PRODUCTS)}")
        columns = {name: dataset for name in names if (dataset := dataset_in(file, name, path)) is not None}
        return {name: np.asarray(held.asstr()[()] if held.dtype.kind == "O" else held[()]) for name, held in columns.items()}, attrs


def _attributes_in(file: h5py.File) -> dict[str, Any]:
    """Of a NetCDF file, less those of the format itself."""
    return {name: value.item() if getattr(value, "size", 0) == 1 else value for name, value in file.attrs.items() if not name.startswith("_")}


def _check_own(file: h5py.File, path: Path) -> None:
    """Raise InputError for a product whose variables lie in another file, or need a plugin: NetCDF would follow there."""
    for name in names_in(file):
        found = member_in(file, name, path)
        if isinstance(found, h5py.Dataset):
            check_own(found, name, path)


def numbered(dataset: xr.Dataset) -> xr.Dataset:
    """Dimensions with text labels as a file holds them: CF wants numbers in a coordinate, so `axis` counts and `axis_label` names."""
    for dim in [str(dim) for dim in dataset.sizes if COORDINATES[str(dim)].text]:
        label = dataset[dim].variable
        number = xr.Variable((dim,), np.arange(len(label), dtype=np.int32), {"long_name": f"index into {dim}_label", "units": "1"})
        dataset = dataset.assign_coords({dim: number, f"{dim}_label": label})
    return dataset


def labelled(dataset: xr.Dataset) -> xr.Dataset:
    """The inverse of `numbered`: `dataset.sel(axis="x")` works."""
    for dim in [str(dim) for dim in dataset.sizes if f"{dim}_label" in dataset.coords]:
        dataset = dataset.assign_coords({dim: dataset[f"{dim}_label"].variable}).drop_vars(f"{dim}_label")
    return dataset


def _typed(array: Any, variable: Variable) -> Any:
    if variable.text:
        return array.astype(object)
    if variable.flags:
        return array.astype(np.int8)
    return array.astype(np.float32) if array.dtype == np.float64 and array.ndim > 1 and array.size > 65536 else _narrow(array)


def _narrow(array: Any) -> Any:
    """CF knows neither 64-bit integers nor booleans."""
    return array.astype(np.int32) if array.dtype.kind in "iub" else array


def _attributes(variable: Variable) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": variable.meaning}
    if variable.flags:
        attrs["flag_values"] = np.array([f.value for f in variable.flags], np.int8)
        attrs["flag_meanings"] = " ".join(f.name for f in variable.flags)
    elif not variable.text:
        attrs["units"] = variable.units
    return attrs
