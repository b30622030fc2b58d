"""Description of a thin-lens camera in the world's frame. The optics are in `geometry.lens`."""

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """One view.

    lens: centre of the lens [m]; look, left, up: unit vectors, left = up x look up to the handedness of the view;
    focal_length [m]; radius: of the aperture [m]; magnification in the plane of focus; pitch: of the pixels [m];
    rows, columns: of the region that is read; efficiency: electrons a photon;
    pedestal: mean of the Poisson pedestal [electrons]; gain [DN/electron].
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

    @property
    def focus(self) -> float:
        """Depth of the plane of focus [m]."""
        return self.focal_length * (1 + self.magnification) / self.magnification

    @property
    def pixel_at_object(self) -> float:
        """Pitch of the pixels in the plane of focus [m]."""
        return self.pitch / self.magnification
