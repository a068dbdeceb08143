"""Looks at a page in headless Chromium: its width, its plots, and whatever it complains about."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing but what is inside the page may load; what else is asked for is an event.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
LISTEN = """
<meta http-equiv="Content-Security-Policy" content="%s">
<script>
const complaints = [];
addEventListener("securitypolicyviolation", e => complaints.push("asked for " + e.blockedURI));
addEventListener("error", e => complaints.push("error: " + (e.message || e.target.tagName)), true);
for (const name of ["error", "warn"]) {
  const said = console[name];
  console[name] = (...words) => { complaints.push(name + ": " + words); said(...words); };
}
</script>
"""
LOOK = """
<script>
addEventListener("load", () => {
  const plots = [...document.querySelectorAll("svg.plot")].map(svg => {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim());
    const cut = texts.filter(text => {
      const box = text.getBoundingClientRect();
      return box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    });
    const sizes = texts.map(text => text.getBoundingClientRect().height);
    return {
      label: svg.getAttribute("aria-label"), width: frame.width, height: frame.height,
      texts: texts.length, cut: cut.map(text => text.textContent), smallest: Math.min(...sizes),
    };
  });
  const seen = {
    inner: innerWidth, scroll: document.documentElement.scrollWidth, plots, complaints,
  };
  const note = parent.document.createElement("pre");
  note.className = "seen";
  note.textContent = JSON.stringify(seen);
  parent.document.body.append(note);
});
</script>
"""


@dataclass(frozen=True)
class Seen:
    """inner, scroll: widths of window and content in CSS pixels. plots: of each `svg.plot` its
    label, width, height, number of texts, texts cut off, and the lowest text's height."""

    inner: int
    scroll: int
    plots: list[dict[str, Any]]
    complaints: list[str]


def look_at(page: str, folder: Path, *, widths: Sequence[int]) -> list[Seen]:
    """Opens the page in a frame of each width, which must differ; no window is as narrow as a
    phone. Skips the test where no browser is."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    head = LISTEN % POLICY
    watched = page.replace("<head>", f"<head>{head}", 1).replace("</body>", f"{LOOK}</body>", 1)
    frames = "".join(
        f'<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{escape(watched)}">'
        "</iframe>"
        for width in widths
    )
    file = folder / "watched.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{frames}", encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}", "--window-size=1600,900", "--dump-dom",
        file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    notes = re.findall(r'<pre class="seen">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    seen = {found.inner: found for found in (Seen(**json.loads(unescape(note))) for note in notes)}
    return [seen[width] for width in widths]
