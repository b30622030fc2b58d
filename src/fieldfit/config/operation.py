"""Configuration of the unattended night: what raises an alarm."""

from pydantic import Field

from fieldfit.config.entry import Entry


class Alarms(Entry):
    """Limits on a night's figures; null: no alarm. Blocks that failed and files that cannot be read always raise one."""

    flagged_share: float | None = Field(0.05, ge=0, le=1, description="largest share of the received shots that is flagged")
    missing_share: float | None = Field(0.01, ge=0, le=1, description="largest share of shot numbers that is absent between the first and the last")
    fewest_shots: int | None = Field(1, ge=0, description="fewest shots received")
    chi2_reduced: float | None = Field(1.5, gt=0, description="largest median chi-square of a degree of freedom")
    contrast: float | None = Field(0.1, ge=0, le=1, description="smallest median contrast")
    resolution_um: float | None = Field(None, gt=0, description="largest median split-half resolution of the densities [um]")
    phase_std_mrad: float | None = Field(None, gt=0, description="largest median standard deviation of a shot's phase [mrad]")
    seconds_a_shot: float | None = Field(None, gt=0, description="most seconds of computing a shot; 1.0 keeps pace with a shot a second")
    atom_number_change: float | None = Field(
        0.3, gt=0, description="largest relative change of the median atom number from the median of the last nights"
    )
    budget: bool = Field(True, description="whether a measured row of the systematics budget that misses its target raises an alarm")
    last_nights: int = Field(7, ge=1, le=60, description="earlier nights that a night is compared with")
