"""The same shots in every format are the same block; each fault of a TIFF or FITS file flags its shot by file and view and no other."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from fieldfit.io.frames import Block, read_block
from fieldfit.io.tiff import tiff_time
from fieldfit.simulate.frames import write_fits, write_packed_tiff, write_run, write_shot_file, write_tiff, write_tiff_views
from fieldfit.types import InputError, Status

SHAPE = (2, 24, 21)
SIZES = [SHAPE[1:]] * SHAPE[0]
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def frames_of(shot: int, kind: type = np.uint16, light: float = 40.0, step: int = 1) -> np.ndarray:
    return (step * np.random.default_rng(shot).poisson(light, SHAPE)).astype(kind)


def block_of(raw: Path, form: str, shots: tuple[int, ...] = (0, 1, 2), **more: object) -> Block:
    return read_block(raw, shots, SIZES, form, **more)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("form", ["tiff", "fits", "hdf5"])
def test_a_block_survives_each_format(tmp_path: Path, form: str, kind: type) -> None:
    frames = np.stack([frames_of(shot, kind) for shot in range(3)])
    write_run(tmp_path, form, list(enumerate(frames)))
    block = block_of(tmp_path, form)
    assert block.frames.dtype == np.uint16
    assert (block.frames.compute() == frames).all()
    assert block.frames.chunks == ((1, 1, 1), (2,), (24,), (21,))
    assert not block.status.any()
    assert block.reasons == ()
    assert block.time.tolist() == [0, 1, 2]
    assert block.full_scale == (255 if kind == np.uint8 else 4095)
    assert len(block.files) == (0 if form == "hdf5" else 3)


def test_the_formats_agree_on_the_checksum_of_the_frames(tmp_path: Path) -> None:
    for form in ("tiff", "fits", "hdf5"):
        write_run(tmp_path / form, form, [(shot, frames_of(shot)) for shot in range(3)])
    sources = {block_of(tmp_path / form, form).source for form in ("tiff", "fits")}
    assert len(sources) == 1
    assert block_of(tmp_path / "hdf5", "hdf5").source == f"shots.h5 rows 0 to 2 {sources.pop()}"


@pytest.mark.parametrize("form", ["tiff", "fits", "hdf5"])
def test_frames_are_read_shot_by_shot_when_they_are_asked_for(tmp_path: Path, form: str) -> None:
    write_run(tmp_path, form, [(shot, frames_of(shot)) for shot in range(3)])
    block = block_of(tmp_path, form)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(InputError):
        block.frames[1].compute()


def test_packed_12_bit_pages_are_decoded(tmp_path: Path) -> None:
    for shot in range(3):
        write_packed_tiff(tmp_path / f"shot{shot}.tif", frames_of(shot, light=2000.0))
    with tifffile.TiffFile(tmp_path / "shot0.tif") as tiff:
        assert [page.bitspersample for page in tiff.pages] == [12, 12]
    block = block_of(tmp_path, "tiff")
    assert (block.frames.compute() == np.stack([frames_of(shot, light=2000.0) for shot in range(3)])).all()
    assert block.full_scale == 4095


def test_one_sensor_may_be_a_frame_without_number(tmp_path: Path) -> None:
    (tmp_path / "shot000").mkdir()
    tifffile.imwrite(tmp_path / "shot000" / "frame.tif", frames_of(0)[0])
    block = read_block(tmp_path, [0], SIZES[:1])
    assert (block.frames[0, 0].compute() == frames_of(0)[0]).all()


def test_the_reference_dome_is_one_sensor(reference: Path) -> None:
    block = read_block(reference / "dome", [0], [(2560, 2560)])
    assert block.frames.shape == (1, 1, 2560, 2560)
    assert int(block.frames.max().compute()) == 152


# ---------------------------------------------------------------- values of the ADC


@pytest.mark.parametrize(("step", "full_scale"), [(1, 4095), (16, 65520), (4, 65532)])
def test_the_step_of_the_values_is_found_and_told(tmp_path: Path, step: int, full_scale: int) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot, step=step)) for shot in range(3)])
    block = block_of(tmp_path, "tiff")
    assert (block.adc_step, block.full_scale) == (step, full_scale)
    assert any(note.startswith(f"values are multiples of {step} DN") for note in block.notes)
    assert block_of(tmp_path, "tiff", adc_step=step).reasons == ()


def test_a_shot_off_the_configured_step_is_corrupt(tmp_path: Path) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot, step=16 if shot != 1 else 1)) for shot in range(3)])
    block = block_of(tmp_path, "tiff", adc_step=16)
    assert block.status.tolist() == [0, Status.corrupt, 0]
    assert "shot0001.tif: view 0 has values in steps of 1, expected multiples of adc_step 16" in block.reasons[0]
    assert block.adc_step == 16


def test_shots_on_another_step_are_told_where_none_is_configured(tmp_path: Path) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot, step=16 if shot != 1 else 1)) for shot in range(3)])
    assert "values of shots 0, 2 have a larger step, those of the block's other shots have not" in block_of(tmp_path, "tiff").notes


@pytest.mark.parametrize("form", ["tiff", "fits"])
def test_a_shot_of_another_depth_is_corrupt(tmp_path: Path, form: str) -> None:
    write_run(tmp_path, form, [(shot, frames_of(shot, np.uint8 if shot == 2 else np.uint16)) for shot in range(3)])
    block = block_of(tmp_path, form)
    assert block.status.tolist() == [0, 0, Status.corrupt]
    assert "view 0 has type uint8, most shots of the block have uint16" in block.reasons[0]


# ---------------------------------------------------------------- faults of one file


def colour(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((24, 21, 3), np.uint16), photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0].asarray()
    tifffile.imwrite(path, np.stack([page, page]), photometric="rgb", metadata=None)


def rewrite(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, values(frames_of(1)), photometric="minisblack", metadata=None)


def one_bit(path: Path) -> None:
    tifffile.imwrite(path, frames_of(1) > 40, photometric="minisblack", metadata=None)


def lzma(path: Path) -> None:
    tifffile.imwrite(path, frames_of(1), photometric="minisblack", metadata=None, compression="lzma")


def lzw(path: Path) -> None:
    """An LZW page in all but its pixels: the tag says so."""
    tifffile.imwrite(path, frames_of(1), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in tiff.pages:
            page.tags[259].overwrite(5)


def packed_cut(path: Path) -> None:
    write_packed_tiff(path, frames_of(1))
    path.write_bytes(path.read_bytes()[:-30])


def mixed(path: Path) -> None:
    path.unlink()
    path.with_suffix("").mkdir()
    tifffile.imwrite(path.with_suffix("") / "frame_cam0.tif", frames_of(1)[0])
    tifffile.imwrite(path.with_suffix("") / "frame_cam1.tif", frames_of(1, np.uint8)[1])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (colour, "view 0 has 3 values a pixel (a colour picture), expected one"),
        (rewrite(lambda f: f.astype(np.float32)), "view 0 has type float32, expected uint8 or uint16"),
        (rewrite(lambda f: f.astype(np.int32)), "view 0 has type int32, expected uint8 or uint16"),
        (rewrite(lambda f: f.astype(np.int16)), "view 0 has type int16, expected uint8 or uint16"),
        (one_bit, "view 0 has type bool, expected uint8 or uint16"),
        (rewrite(lambda f: f[:, :, :-1]), "view 0 has shape (24, 20), expected (24, 21)"),
        (lzma, "view 0 is compressed by LZMA, expected none, deflate, LZW or packbits"),
        (lzw, "view 0 is compressed by LZW: reading it needs the package imagecodecs (pip install imagecodecs)"),
        (packed_cut, "view 1 is truncated: its header places pixels up to byte"),
        (mixed, "view 1 has type uint8, view 0 has uint16, expected one type a shot"),
        (lambda path: path.write_bytes(b"no"), "view 0: not a readable TIFF"),
    ],
)
def test_a_bad_tiff_flags_its_shot_only(tmp_path: Path, damage: Callable[[Path], None], told: str) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot)) for shot in range(3)])
    damage(tmp_path / "shot0001.tif")
    block = block_of(tmp_path, "tiff")
    assert block.status.tolist() == [0, Status.corrupt, 0]
    assert told in block.reasons[0]
    assert "shot0001" in block.reasons[0]
    assert (block.frames[[0, 2]].compute() == np.stack([frames_of(0), frames_of(2)])).all()


def test_a_link_out_of_the_run_flags_its_shot(tmp_path: Path) -> None:
    for shot in range(3):
        write_tiff_views(tmp_path / "run" / f"shot{shot:03d}", frames_of(shot))
    view = tmp_path / "run" / "shot001" / "frame_cam1.tif"
    view.rename(tmp_path / "elsewhere.tif")
    view.symlink_to(tmp_path / "elsewhere.tif")
    block = block_of(tmp_path / "run", "tiff")
    assert block.status.tolist() == [0, Status.corrupt, 0]
    assert "frame_cam1.tif is a link to" in block.reasons[0]
    assert "outside of" in block.reasons[0]


def header(**cards: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with fits.open(path, mode="update", do_not_scale_image_data=True) as units:
            units[1].header.update(cards)

    return change


def written(*units: fits.ImageHDU) -> Callable[[Path], None]:
    return lambda path: fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path, overwrite=True)


def image(view: int, values: np.ndarray, **cards: object) -> fits.ImageHDU:
    unit = fits.ImageHDU(values, name=f"VIEW{view}")
    unit.header.update(cards)
    return unit


def oversized(path: Path) -> None:
    """A header that promises 28 GB."""
    text = path.read_bytes()
    start = text.index(b"NAXIS2  =")
    path.write_bytes(text[:start] + b"NAXIS2  =         2000000000".ljust(80) + text[start + 80 :])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4 * 2880 + 100])


def tiled(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(frames_of(1)[0])]).writeto(path, overwrite=True)


FRAMES = frames_of(1)


@pytest.mark.parametrize(
    ("damage", "flag", "told"),
    [
        (written(image(0, FRAMES[0])), Status.missing, "view 1 is missing, found VIEW0"),
        (written(image(1, FRAMES[1])), Status.missing, "view 0 is missing, found VIEW1"),
        (written(fits.ImageHDU(FRAMES[0])), Status.missing, "view 1: 1 images, expected 2, an extension a view, or a cube"),
        (written(*(image(n, FRAMES[0]) for n in range(3))), Status.corrupt, "3 views (VIEW0, VIEW1, VIEW2), expected 2"),
        (written(fits.ImageHDU(FRAMES[:1])), Status.missing, "view 1: a cube of 1 views, expected 2"),
        (written(fits.ImageHDU(FRAMES[:, 1:])), Status.corrupt, "the cube has shape (2, 23, 21), expected (2, 24, 21)"),
        (written(*(image(n, FRAMES[n, 1:]) for n in range(2))), Status.corrupt, "view 0 has shape (23, 21), expected (24, 21)"),
        (written(*(image(n, FRAMES[n].astype(np.float32)) for n in range(2))), Status.corrupt, "view 0 has BITPIX -32"),
        (written(*(image(n, FRAMES[n].astype(np.int32)) for n in range(2))), Status.corrupt, "view 0 has BITPIX 32"),
        (written(image(0, FRAMES[0]), image(1, FRAMES[1].astype(np.uint8))), Status.corrupt, "view 1 has type uint8, view 0 has uint16"),
        (written(*(image(n, FRAMES[n].astype(np.int16) - 39) for n in range(2))), Status.corrupt, "negative pixels (BITPIX 16 without BZERO"),
        (
            written(*(image(n, np.full(SHAPE[1:], 7, np.int16), BLANK=7) for n in range(2))),
            Status.corrupt,
            "view 0 has 504 blank pixels (BLANK 7)",
        ),
        (header(BSCALE=2.0), Status.corrupt, "view 0 has BITPIX 16, BZERO 32768, BSCALE 2.0"),
        (oversized, Status.corrupt, "image VIEW0 is truncated: its header places pixels up to byte 84000005760, the file has 14400 bytes"),
        (cut, Status.corrupt, "truncated: its header places pixels up to byte"),
        (tiled, Status.corrupt, "extension COMPRESSED_IMAGE is tile-compressed, expected a plain image"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08rest"), Status.corrupt, r"not a readable FITS (it begins with b'\x1f\x8b\x08rest')"),
        (lambda path: path.write_bytes(b""), Status.corrupt, "not a readable FITS (it begins with b'')"),
        (lambda path: path.write_bytes(b"SIMPLE  =" + b"x" * 4000), Status.corrupt, "not a readable FITS"),
    ],
)
def test_a_bad_fits_flags_its_shot_only(tmp_path: Path, damage: Callable[[Path], None], flag: Status, told: str) -> None:
    write_run(tmp_path, "fits", [(shot, frames_of(shot)) for shot in range(3)])
    damage(tmp_path / "shot0001.fits")
    block = block_of(tmp_path, "fits")
    assert block.status.tolist() == [0, flag, 0]
    assert told in block.reasons[0]
    assert "shot0001.fits" in block.reasons[0]
    assert (block.frames[[0, 2]].compute() == np.stack([frames_of(0), frames_of(2)])).all()


@pytest.mark.parametrize("damage", [written(fits.ImageHDU(FRAMES)), written(*(image(n, FRAMES[n]) for n in (1, 0)))])
def test_a_cube_and_named_extensions_are_the_views(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    write_fits(tmp_path / "shot1.fits", FRAMES, cube=True)
    assert (block_of(tmp_path, "fits", (1,)).frames[0].compute() == FRAMES).all()
    damage(tmp_path / "shot1.fits")
    assert (block_of(tmp_path, "fits", (1,)).frames[0].compute() == FRAMES).all()


def test_the_primary_array_may_hold_view_0_and_signed_integers_are_taken_where_they_are_not_negative(tmp_path: Path) -> None:
    signed = FRAMES.astype(np.int16)
    fits.HDUList([fits.PrimaryHDU(signed[0]), fits.ImageHDU(signed[1])]).writeto(tmp_path / "shot1.fit")
    assert (block_of(tmp_path, "fits", (1,)).frames[0].compute() == FRAMES).all()


# ---------------------------------------------------------------- time stamps


def test_every_format_carries_time_stamps(tmp_path: Path) -> None:
    noon = NOON.timestamp()
    for shot in range(3):
        write_tiff(tmp_path / "json" / f"shot{shot}.tif", frames_of(shot), time=100.25 + shot)
        write_tiff_views(tmp_path / "tag" / f"shot{shot}", frames_of(shot), NOON.replace(second=shot))
        write_fits(tmp_path / "fits" / f"shot{shot}.fits", frames_of(shot), time=noon + 0.125 + shot)
    write_shot_file(tmp_path / "hdf5" / "a.h5", [(n, frames_of(n)) for n in range(3)], time=np.arange(3) + 0.5)
    write_shot_file(tmp_path / "dated" / "a.h5", [(n, frames_of(n)) for n in range(3)], time=np.arange(3), epoch="2026-01-02T12:00:00Z")
    assert block_of(tmp_path / "json", "tiff").time.tolist() == [100.25, 101.25, 102.25]
    assert block_of(tmp_path / "tag", "tiff").time.tolist() == [noon, noon + 1, noon + 2]
    assert block_of(tmp_path / "fits", "fits").time.tolist() == [noon + 0.125, noon + 1.125, noon + 2.125]
    assert block_of(tmp_path / "hdf5", "hdf5").time.tolist() == [0.5, 1.5, 2.5]
    found = block_of(tmp_path / "dated", "hdf5")
    assert found.time.tolist() == [noon, noon + 1, noon + 2]
    assert "times: stamps of the files" in found.notes


def test_the_real_cameras_date_is_read(reference: Path) -> None:
    path = reference / "frames" / "Image_2020_11_24_0145.tiff"
    assert tiff_time(path) == datetime(2020, 11, 24, 13, 3, 9, tzinfo=UTC).timestamp()


def test_times_without_stamps_are_counted_from_the_start(tmp_path: Path) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot)) for shot in (3, 4, 6)])
    assert block_of(tmp_path, "tiff", (3, 4, 6), start=100.0, period=2.0).time.tolist() == [106, 108, 112]


def test_a_stamp_that_goes_backwards_flags_its_shot_and_names_both(tmp_path: Path) -> None:
    for shot, time in enumerate((10.0, 11.0, 5.0, 13.0)):
        write_tiff(tmp_path / f"shot{shot}.tif", frames_of(shot), time=time)
    block = block_of(tmp_path, "tiff", (0, 1, 2, 3))
    assert block.status.tolist() == [0, 0, Status.mistimed, 0]
    assert block.reasons == (f"shot 2 is mistimed: {tmp_path / 'shot2.tif'}: its time 5.0 s lies before that of the earlier shot 1 (11.0 s)",)
    assert not block.frames[2].any().compute()


def test_a_shot_without_stamp_among_stamped_ones_is_mistimed(tmp_path: Path) -> None:
    for shot, time in enumerate((10.0, None, 12.0)):
        write_tiff(tmp_path / f"shot{shot}.tif", frames_of(shot), time=time)
    block = block_of(tmp_path, "tiff")
    assert block.status.tolist() == [0, Status.mistimed, 0]
    assert "shot1.tif has no time stamp, others of the block have" in block.reasons[0]
    assert np.isnan(block.time[1])


def test_a_flagged_shot_keeps_the_stamp_that_it_has(tmp_path: Path) -> None:
    for shot in range(3):
        write_tiff(tmp_path / f"shot{shot}.tif", frames_of(shot)[:, : 23 if shot == 1 else 24], time=10.0 + shot)
    block = block_of(tmp_path, "tiff")
    assert block.status.tolist() == [0, Status.corrupt, 0]
    assert block.time.tolist() == [10, 11, 12]


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ({"DATE-OBS": "02/01/26"}, "keyword DATE-OBS is '02/01/26', expected YYYY-MM-DDThh:mm:ss"),
        ({"DATE-OBS": "2026-01-02T12:00:01", "TIMESYS": "TAI"}, "keyword TIMESYS is 'TAI' beside DATE-OBS, expected UTC"),
        ({"TIME_S": "late"}, "keyword TIME_S is 'late', expected a number"),
        ({"MJD-OBS": True}, "keyword MJD-OBS is True, expected a number"),
    ],
)
def test_an_unreadable_fits_stamp_is_named(tmp_path: Path, cards: dict[str, object], told: str) -> None:
    write_run(tmp_path, "fits", [(shot, frames_of(shot)) for shot in range(3)])
    header(**cards)(tmp_path / "shot0001.fits")
    block = block_of(tmp_path, "fits")
    assert block.status[1] == Status.mistimed
    assert told in block.reasons[0]


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [({"MJD-OBS": 61042.5}, NOON.timestamp()), ({"TIME_S": 12.5}, 12.5), ({"DATE-OBS": "2026-01-02T12:00:00", "TIMESYS": "UTC"}, NOON.timestamp())],
)
def test_fits_stamps_are_seconds(tmp_path: Path, cards: dict[str, object], seconds: float) -> None:
    write_run(tmp_path, "fits", [(1, frames_of(1))])
    header(**cards)(tmp_path / "shot0001.fits")
    assert block_of(tmp_path, "fits", (1,)).time.tolist() == [seconds]


@pytest.mark.parametrize("time", ["soon", True, None, float("nan")])
def test_an_unreadable_tiff_stamp_is_named(tmp_path: Path, time: object) -> None:
    write_run(tmp_path, "tiff", [(0, frames_of(0)), (1, frames_of(1))])
    description = json.dumps({"time_s": time})
    tifffile.imwrite(tmp_path / "shot0001.tif", frames_of(1), photometric="minisblack", description=description, metadata=None)
    block = block_of(tmp_path, "tiff", (0, 1))
    assert block.status.tolist() == [0, Status.mistimed]
    assert "shot0001.tif: time_s of the image description is" in block.reasons[0]


def test_an_unreadable_date_is_named_and_other_descriptions_are_left_alone(tmp_path: Path) -> None:
    write_run(tmp_path, "tiff", [(0, frames_of(0))])
    tifffile.imwrite(tmp_path / "shot1.tif", frames_of(1), photometric="minisblack", datetime="2026:13:45 00:00:00", metadata=None)
    tifffile.imwrite(tmp_path / "shot2.tif", frames_of(2), photometric="minisblack", description="Andor SOLIS", metadata=None)
    block = block_of(tmp_path, "tiff")
    assert block.status.tolist() == [0, Status.mistimed, 0]
    assert "tag DateTime is '2026:13:45 00:00:00', expected YYYY:MM:DD HH:MM:SS" in block.reasons[0]


# ---------------------------------------------------------------- numbers of shots


def test_a_shot_that_is_there_twice_is_taken_once_where_both_are_the_same(tmp_path: Path) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot)) for shot in range(3)])
    write_tiff_views(tmp_path / "shot1", frames_of(1))
    block = block_of(tmp_path, "tiff")
    assert not block.status.any()
    assert any("shot 1 is there 2 times with the same frames" in note and "shot0001.tif is taken" in note for note in block.notes)


@pytest.mark.parametrize("what", ["frames", "time stamps"])
def test_a_shot_that_is_there_twice_and_differs_is_corrupt(tmp_path: Path, what: str) -> None:
    for shot in range(3):
        write_tiff(tmp_path / f"shot{shot:04d}.tif", frames_of(shot), time=float(shot))
    write_tiff(tmp_path / "shot1.tif", frames_of(1 if what == "time stamps" else 7), time=1.0 if what == "frames" else 1.5)
    block = block_of(tmp_path, "tiff")
    assert block.status.tolist() == [0, Status.corrupt, 0]
    assert f"shot0001.tif and {tmp_path / 'shot1.tif'} have the same number and other {what}" in block.reasons[0]


def test_dropped_shots_are_counted_from_the_shot_before_the_block(tmp_path: Path) -> None:
    write_run(tmp_path, "tiff", [(shot, frames_of(shot)) for shot in (0, 4, 5, 7)])
    notes = block_of(tmp_path, "tiff", (4, 5, 7)).notes
    assert "4 shot numbers between 0 and 7 have no frames: dropped by the data acquisition" in notes
    assert not any("dropped" in note for note in block_of(tmp_path, "tiff", (5,)).notes)
