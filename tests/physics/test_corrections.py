"""Corrections of views move images as geometry says, and the world's own motions are taken out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fieldfit.geometry.cameras import Camera, Mirror, reflected
from fieldfit.geometry.corrections import OF_CAMERA, OF_MIRROR, STEPS, corrected, degrees_of, image_slopes, place_slopes, places
from fieldfit.geometry.gauge import gauge_free
from fieldfit.geometry.lens import images

CAMERA = Camera("0", (0.175, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), 0.0159, 4e-3, 0.1, 2.4e-6, 200, 200, 0.72, 2.0)
OTHER = Camera("1", (0.0, 0.0, 0.175), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.0159, 4e-3, 0.1, 2.4e-6, 200, 200, 0.72, 2.0)
THIRD = Camera("2", (0.0, 0.175, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 0.0159, 4e-3, 0.1, 2.4e-6, 200, 200, 0.72, 2.0)
BEHIND = reflected(CAMERA, Mirror((-0.02, 0.01, 0.0), (0.8, -0.6, 0.0), 2.5e-3), "0-0")
POINTS = torch.from_numpy(np.random.default_rng(0).normal(0, 5e-4, (40, 3)))


@pytest.mark.parametrize("camera", [CAMERA, BEHIND])
def test_no_correction_leaves_a_view_as_it_is(camera: Camera) -> None:
    none = corrected(camera, [0.0] * len(degrees_of(camera)))
    assert torch.allclose(places(none, POINTS), places(camera, POINTS), atol=1e-9)
    assert degrees_of(camera) == (OF_MIRROR if camera.mirror else OF_CAMERA)


def test_another_number_of_corrections_is_refused() -> None:
    with pytest.raises(ValueError, match="view 0-0: 8 corrections, expected normal_first, normal_second, displacement, shift_first, shift_second"):
        corrected(BEHIND, [0.0] * 8)


def test_slopes_are_those_of_a_thin_lens() -> None:
    """A shift by s moves the image by -m s / pitch, a turn by t by v t / pitch, a scale stretches it about the axis."""
    slopes = dict(zip(OF_CAMERA, place_slopes(CAMERA, [0.0] * 8, torch.zeros(1, 3, dtype=torch.float64))[0].T, strict=True))
    behind = CAMERA.focal_length * (1 + CAMERA.magnification)
    scale = behind / 0.175 / CAMERA.pitch
    assert torch.allclose(slopes["shift_up"], torch.tensor([-scale, 0.0], dtype=torch.float64), rtol=1e-6)
    assert torch.allclose(slopes["shift_left"], torch.tensor([0.0, -scale], dtype=torch.float64), rtol=1e-6)
    # look, left, up are a left-handed or right-handed frame: the sign of a turn is told by Rodrigues' formula, its size by the image distance.
    assert slopes["turn_left"][0].abs() == pytest.approx(behind / CAMERA.pitch, rel=1e-6)
    assert slopes["turn_up"][1].abs() == pytest.approx(behind / CAMERA.pitch, rel=1e-6)
    at = place_slopes(CAMERA, [0.0] * 8, POINTS)[..., OF_CAMERA.index("scale")]
    assert torch.allclose(at, places(CAMERA, POINTS) - 100, rtol=1e-6)


def test_light_changes_as_a_mirrors_edge_moves_and_where_there_is_none_has_no_slope() -> None:
    far = Camera("1", (-0.32, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0.06, 0.02, 0.2, 7e-6, 400, 400, 0.8, 2.0)
    lit = reflected(far, Mirror((0.0075, 0.0205, 0.0), (-0.8, -0.6, 0.0), 2.5e-3), "1-0")
    dark, bright = torch.tensor([[0.0, 0.0, 0.03], [-1e-3, 1e-3, -1e-3]], dtype=torch.float64)[:, None]
    assert float(images(lit, dark).electrons) == 0 < float(images(lit, bright).electrons)
    assert torch.equal(image_slopes(lit, [0.0] * 5, dark)[1], torch.zeros(1, 5, dtype=torch.float64))
    slopes, step = image_slopes(lit, [0.0] * 5, bright)[1], 2e-6
    for degree in (2, 3, 4):
        more, less = (images(corrected(lit, [sign * step * (place == degree) for place in range(5)]), bright).electrons for sign in (1.0, -1.0))
        assert float(slopes[0, degree]) == pytest.approx(float((more / less).log()) / (2 * step), rel=0.02)
    assert slopes[0, 2:].abs().min() > 1  # more than 1e-4 of the light for 100 um


def test_scale_leaves_the_plane_of_focus_and_focus_the_size() -> None:
    longer, deeper = corrected(CAMERA, [0.0] * 6 + [1e-3, 0.0]), corrected(CAMERA, [0.0] * 7 + [2e-3])
    assert longer.focus == pytest.approx(CAMERA.focus, rel=1e-12)
    assert deeper.focus == pytest.approx(CAMERA.focus + 2e-3, rel=1e-12)
    assert torch.allclose(places(deeper, POINTS), places(CAMERA, POINTS), atol=1e-9)
    assert (images(deeper, POINTS).row_blur > images(CAMERA, POINTS).row_blur).double().mean() > 0.9


def test_a_displaced_mirror_moves_the_virtual_world_twice_as_far() -> None:
    """What the camera sees of P in the mirror moved by d n is what it saw of P - 2 d n. The mirror is wide: its edge hides nothing."""
    mirror = BEHIND.mirror
    assert mirror is not None
    wide = replace(BEHIND, mirror=replace(mirror, radius=0.1))
    moved = corrected(wide, [0.0, 0.0, 30e-6, 0.0, 0.0])
    assert torch.allclose(places(moved, POINTS), places(wide, POINTS - 60e-6 * torch.tensor(mirror.normal).double()), atol=1e-6)


@pytest.mark.parametrize("camera", [CAMERA, BEHIND])
def test_slopes_predict_small_corrections(camera: Camera) -> None:
    random = np.random.default_rng(1)
    values = [STEPS[name] * float(random.standard_normal()) for name in degrees_of(camera)]
    expected = place_slopes(camera, [0.0] * len(values), POINTS) @ torch.tensor(values, dtype=torch.float64)
    found = places(corrected(camera, values), POINTS) - places(camera, POINTS)
    assert torch.allclose(found, expected, atol=0.01 * float(found.abs().max()))


def test_moving_all_cameras_together_is_no_error() -> None:
    cameras = [CAMERA, OTHER, THIRD]
    shift = np.array([30e-6, -20e-6, 10e-6])
    moved = [replace(camera, lens=tuple((np.array(camera.lens) + shift).tolist())) for camera in cameras]
    assert float(gauge_free(moved, cameras, POINTS).abs().max()) < 3e-4  # linear in the shift
    alone = [moved[0], *cameras[1:]]
    assert float(gauge_free(alone, cameras, POINTS).abs().max()) > 0.1
