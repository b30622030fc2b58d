"""Description of the views in the world's frame: thin-lens cameras, looking straight or through a mirror. The optics are in `geometry.lens`.

A flat mirror shows what a reflected camera would see through a hole of the mirror's shape: lens, look, left and up are reflected in the
mirror's plane, which turns left- into right-handed, and the mirror itself stays where it is, as the hole.
"""

from dataclasses import dataclass, replace

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Mirror:
    """Flat and round. centre [m]; normal: unit vector; radius [m]."""

    centre: Vector
    normal: Vector
    radius: float


@dataclass(frozen=True)
class Glass:
    """Plane-parallel window between cloud and lens, perpendicular to the line of sight. thickness [m]; index of refraction."""

    thickness: float
    index: float


@dataclass(frozen=True)
class Distortion:
    """Radial k1, k2, k3 and tangential p1, p2 of the tangents of the angles to the optical axis (Brown, Photogramm. Eng. 37, 855 (1971))."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0


@dataclass(frozen=True)
class Camera:
    """One view: a region of one sensor.

    lens: centre of the lens [m]; look, left, up: unit vectors, left = up x look up to the handedness of the view;
    focal_length [m]; radius: of the aperture [m]; magnification in the plane of focus; pitch: of the pixels [m];
    rows, columns: of the region; efficiency: electrons a photon;
    pedestal: mean of the Poisson pedestal [electrons]; gain [DN/electron];
    frame: number of the sensor's frame in a shot; sensor: rows and columns of that frame; corner: row and column of the region's first pixel in it;
    axis: row and column where the optical axis meets the sensor, counted from the corner, the middle of the region when left out;
    mirror: through which the camera looks: lens and axes are then already reflected; wavelength [m]: 0 leaves diffraction out;
    out_of_focus: False takes places out of focus for sharp.
    """

    name: str
    lens: Vector
    look: Vector
    left: Vector
    up: Vector
    focal_length: float
    radius: float
    magnification: float
    pitch: float
    rows: int
    columns: int
    efficiency: float
    pedestal: float
    gain: float = 1.0
    frame: int = 0
    sensor: tuple[int, int] = (0, 0)
    corner: tuple[int, int] = (0, 0)
    axis: tuple[float, float] | None = None
    mirror: Mirror | None = None
    glass: Glass | None = None
    distortion: Distortion | None = None
    wavelength: float = 0.0
    out_of_focus: bool = True

    @property
    def focus(self) -> float:
        """Depth of the plane of focus [m]."""
        return self.focal_length * (1 + self.magnification) / self.magnification

    @property
    def pixel_at_object(self) -> float:
        """Pitch of the pixels in the plane of focus [m]."""
        return self.pitch / self.magnification

    @property
    def middle(self) -> tuple[float, float]:
        """Where the optical axis meets the sensor, in pixel edges of the region."""
        return self.axis or (self.rows / 2, self.columns / 2)


def reflected(camera: Camera, mirror: Mirror, name: str) -> Camera:
    """The camera that sees straight what `camera` sees in `mirror`."""
    n = mirror.normal

    def turned(v: Vector, about: Vector = (0.0, 0.0, 0.0)) -> Vector:
        twice = 2 * sum((a - m) * b for a, m, b in zip(v, about, n, strict=True))
        return (v[0] - twice * n[0], v[1] - twice * n[1], v[2] - twice * n[2])

    lens = turned(camera.lens, mirror.centre)
    return replace(camera, name=name, lens=lens, look=turned(camera.look), left=turned(camera.left), up=turned(camera.up), mirror=mirror)
