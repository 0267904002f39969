"""Pages opened in a headless Chromium, which is not a dependency: tests that need it are skipped without."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM: pages were not opened in a browser"
)

_CLICKING = """
addEventListener("load", async () => {
  let told = "";
  try { SCRIPT } catch (error) { told = error; }
  const said = Object.assign(document.createElement("pre"), { id: "told", textContent: told });
  document.body.replaceChildren(said);
});
"""


def dom_of(page: Path, *, seconds: float = 60) -> str:
    """The document as it is once its scripts have run."""
    return _run(page, "--dump-dom", seconds=seconds)


def said_after(page: Path, script: str, *, seconds: float = 60) -> str:
    """What a script writes into `told`, after it has used a page as a reader would.

    A copy of the page runs it, beside the page, without the policy that forbids scripts to strangers.
    """
    html = re.sub(r"<meta http-equiv=.Content-Security-Policy.*?>", "", page.read_text(encoding="utf-8"))
    copy = page.with_name(f"clicked-{page.name}")
    copy.write_text(f"{html}<script>{_CLICKING.replace('SCRIPT', script)}</script>", encoding="utf-8")
    found = re.search(r'<pre id="told">(.*?)</pre>', dom_of(copy, seconds=seconds), re.DOTALL)
    copy.unlink()
    assert found, "the script did not come to its end"
    return unescape(found[1])


def screenshot(page: Path, picture: Path, size: tuple[int, int] = (1200, 900)) -> None:
    """A picture of the top of a page."""
    _run(page, f"--screenshot={picture}", f"--window-size={size[0]},{size[1]}", "--hide-scrollbars")


def _run(page: Path, *options: str, seconds: float = 60) -> str:
    assert CHROMIUM
    budget = f"--virtual-time-budget={1000 * int(seconds / 4)}"
    call = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", budget, *options, page.as_uri()]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=seconds, check=True)
    return ended.stdout
