"""Triplets of frames: which files make a shot, what is flagged and why; the camera's noise from its own frames."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fieldfit.calibration.absorption import Noise, judge, lit, photon_transfer, second_difference
from fieldfit.io.absorption import common_shape, find_triplets, read_triplet, time_stamp
from fieldfit.io.exposure import BadFrame
from fieldfit.types import InputError, Status

NAMES = {"image": "Image_*", "probe": "Probe_*", "background": "Background_*"}
FRAME = np.full((40, 48), 900, np.uint16)


def folder(path: Path, tags: tuple[str, ...] = ("2020_0003", "2020_0012"), suffix: str = ".tiff") -> Path:
    for tag in tags:
        for name in ("Image", "Probe", "Background"):
            tifffile.imwrite(path / f"{name}_{tag}{suffix}", FRAME)
    return path


def refusal(path: Path, place: int = 0) -> BadFrame:
    triplets = find_triplets(path, NAMES)
    with pytest.raises(BadFrame) as error:
        read_triplet(triplets[place], (40, 48))
    return error.value


def test_a_shot_is_what_shares_a_tag_and_its_number_ends_the_tag(tmp_path):
    (folder(tmp_path) / "notes.txt").write_text("not a frame")
    triplets = find_triplets(tmp_path, NAMES)
    assert [triplet.shot for triplet in triplets] == [3, 12]
    assert common_shape(triplets) == (40, 48)
    assert read_triplet(triplets[0], (40, 48)).shape == (3, 40, 48)


def test_names_of_ones_own_are_read(tmp_path):
    for name in ("r07-atoms", "r07-light", "r07-dark"):
        tifffile.imwrite(tmp_path / f"{name}.tif", FRAME)
    (triplet,) = find_triplets(tmp_path, {"image": "*-atoms", "probe": "*-light", "background": "*-dark"})
    assert triplet.shot == 7
    assert read_triplet(triplet, (40, 48)).min() == 900


def test_a_missing_member_is_named_with_the_nearest_file(tmp_path):
    (folder(tmp_path) / "Probe_2020_0003.tiff").rename(tmp_path / "Prob_2020_0003.tiff")
    bad = refusal(tmp_path)
    assert bad.status == Status.missing
    assert "Probe_2020_0003.tif: the probe is missing; did you mean 'Prob_2020_0003.tiff'?" in str(bad)


def test_a_member_that_is_there_twice_is_told(tmp_path):
    tifffile.imwrite(folder(tmp_path) / "Probe_2020_0003.tif", FRAME)
    assert "the probe is there twice, as Probe_2020_0003.tif and Probe_2020_0003.tiff" in str(refusal(tmp_path))


def test_another_size_is_told_against_that_of_most_frames(tmp_path):
    tifffile.imwrite(folder(tmp_path) / "Image_2020_0003.tiff", FRAME[:, :40])
    assert common_shape(find_triplets(tmp_path, NAMES)) == (40, 48)
    bad = refusal(tmp_path)
    assert bad.status == Status.corrupt
    assert "the image has shape (40, 40), expected (40, 48) as most frames of the run" in str(bad)


def test_a_truncated_file_and_a_colour_picture_are_told(tmp_path):
    file = folder(tmp_path) / "Background_2020_0003.tiff"
    file.write_bytes(file.read_bytes()[:-500])
    assert "Background_2020_0003.tiff" in str(refusal(tmp_path))
    assert "truncated" in str(refusal(tmp_path))
    tifffile.imwrite(tmp_path / "Image_2020_0012.tiff", np.zeros((40, 48, 3), np.uint16), photometric="rgb")
    assert "shape (40, 48, 3), expected one page (row, column)" in str(refusal(tmp_path, 1))


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    (folder(tmp_path) / "Image_2020_0003.tiff").write_text("no TIFF at all")
    assert "not a readable TIFF" in str(refusal(tmp_path))


def test_folders_without_triplets_are_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder, expected three TIFF files a shot"):
        find_triplets(tmp_path / "nowhere", NAMES)
    tifffile.imwrite(tmp_path / "picture.tif", FRAME)
    with pytest.raises(InputError, match=r"no file is named like Image_\*, Probe_\*, Background_\* with suffix .tif or .tiff; found picture.tif"):
        find_triplets(tmp_path, NAMES)


def test_two_tags_with_one_number_are_refused(tmp_path):
    with pytest.raises(InputError, match="shot 3 is there twice, with the tags 'a_3' and 'b_03'"):
        find_triplets(folder(tmp_path, ("a_3", "b_03")), NAMES)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside.tiff"
    inside.mkdir()
    tifffile.imwrite(outside, FRAME)
    (folder(inside) / "Probe_2020_0020.tiff").symlink_to(outside)
    with pytest.raises(InputError, match=r"Probe_2020_0020.tiff is a link to .*outside.tiff"):
        find_triplets(inside, NAMES)


def test_the_time_stamp_is_the_images(tmp_path):
    tifffile.imwrite(folder(tmp_path) / "Image_2020_0012.tiff", FRAME, datetime="2020:11:24 13:03:09")
    first, second = find_triplets(tmp_path, NAMES)
    assert np.isnan(time_stamp(first))
    assert time_stamp(second) == 1606222989.0


def frames(generator: np.random.Generator, light: float = 4000.0, gain: float = 3.0, read: float = 7.0) -> np.ndarray:
    across = light * (1 + 0.3 * np.sin(np.arange(128) / 9))
    means = [np.tile(mean, (128, 1)) for mean in (across, across, np.zeros(128))]
    return np.stack([gain * generator.poisson(mean / gain) + 500 + generator.normal(0, read, mean.shape) for mean in means]).round()


def test_a_triplet_is_judged_by_its_own_light():
    generator = np.random.default_rng(5)
    assert judge(frames(generator), 65535)[0] == Status.good
    bright = frames(generator)
    bright[1, 3, 4] = 65535
    assert judge(bright, 65535) == (Status.saturated, "the probe has 1 pixels at or above 65535 DN")
    for member, name in enumerate(("image", "probe")):
        dark = frames(generator)
        dark[member] = frames(generator)[2]
        status, why = judge(dark, 65535)
        assert status == Status.empty
        assert f"the {name} has no light beyond the background" in why


@pytest.mark.parametrize(("gain", "read"), [(1.0, 3.0), (3.0, 7.0), (20.0, 11.0)])
def test_photon_transfer_finds_gain_and_read_noise(gain, read):
    generator = np.random.default_rng(2)
    found = photon_transfer([frames(generator, gain=gain, read=read) for _ in range(4)], None, None)
    assert found.gain == pytest.approx(gain, rel=0.05)
    assert found.read == pytest.approx(np.hypot(read, 12**-0.5), rel=0.03)  # rounding adds a twelfth
    assert "gain from the probes' pairs" in found.told


def test_given_noise_is_kept_and_one_shot_cannot_tell_it():
    generator = np.random.default_rng(2)
    assert photon_transfer([frames(generator)] * 2, 2.5, 4.0).gain == 2.5
    assert "gain given" in photon_transfer([frames(generator)], 2.5, 4.0).told
    with pytest.raises(InputError, match=r"only one good shot, .* expected keys 'gain' and 'read_noise'"):
        photon_transfer([frames(generator)], None, None)


def test_frames_that_scatter_less_than_their_background_ask_for_the_gain():
    generator = np.random.default_rng(3)
    smooth = [np.stack([np.full((64, 64), 900.0)] * 2 + [500 + generator.normal(0, 9, (64, 64))]) for _ in range(3)]
    with pytest.raises(InputError, match="expected key 'gain'"):
        photon_transfer(smooth, None, 20.0)


def test_the_second_difference_has_a_pixels_noise_and_no_slope():
    generator = np.random.default_rng(0)
    rows, columns = np.indices((200, 201))
    assert np.abs(second_difference(3.0 * rows + 2.0 * columns)).max() < 1e-9
    assert second_difference(generator.normal(0, 5, (400, 401))).std() == pytest.approx(5, rel=0.02)


def test_lit_pixels_stand_out_of_the_noise():
    noise = Noise(2.0, 5.0, "")
    light = np.array([[[0.0, 40.0, 60.0, 4000.0]]])  # 5 sigma: light^2 = 25 (2 light + 50), at 68.3 DN
    assert lit(light, noise).tolist() == [[False, False, False, True]]
    assert lit(light + 10, noise).tolist() == [[False, False, True, True]]
