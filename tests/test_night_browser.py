"""The page of a night in a real browser, offline: on a desk and on a phone."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from test_night_report import write_night

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
# Looks at the page from a frame of a phone's width, and writes what it finds into its own body.
LOOK = """<!doctype html><body><iframe id="page" src="PAGE" style="width:WIDTHpx;height:800px;border:0"></iframe><script>
document.getElementById("page").onload = (event) => {
  const page = event.target.contentDocument, all = [...page.images];
  document.body.innerText = "FOUND" + JSON.stringify({
    width: page.documentElement.scrollWidth, images: all.length, drawn: all.filter((image) => image.naturalWidth > 0).length,
    smallest: Math.min(...[...page.querySelectorAll("td, th, p")].map((part) => parseFloat(page.defaultView.getComputedStyle(part).fontSize))),
    narrow: all.filter((image) => image.getBoundingClientRect().width < 250).length, title: page.title }) + "END";
};
</script></body>"""


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_is_whole_and_fits(tmp_path: Path, width: int) -> None:
    if BROWSER is None:
        pytest.skip("no chromium to open the page with")
    write_night(tmp_path, "2026-11-25")
    page = tmp_path / "results/report/2026-11-25/night.html"
    look = tmp_path / "look.html"
    look.write_text(LOOK.replace("PAGE", page.as_uri()).replace("WIDTH", str(width)))
    command = [BROWSER, "--headless=new", "--disable-gpu", "--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom", look.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    told = re.search(r"FOUND(.*?)END", run.stdout)
    assert told, run.stdout[-500:] + run.stderr[-500:]
    found = json.loads(told[1])
    assert found["title"] == "Night 2026-11-25"
    assert found["width"] <= width  # nothing to be pushed sideways
    assert found["images"] == found["drawn"] >= 8
    assert found["narrow"] == 0  # pictures as wide as a phone can show them
    assert found["smallest"] >= 12
