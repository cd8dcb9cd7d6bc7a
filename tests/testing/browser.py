"""A page as a real browser shows it: headless Chromium, where there is one."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ALONE = """--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking
--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=5000"""
_MEASURE = """
const box = node => { const b = node.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument;
  const texts = [...page.querySelectorAll("svg.c")].map(svg => ({
    box: box(svg), texts: [...svg.querySelectorAll("text")].map(t => [t.firstChild.data, ...box(t)])}));
  const root = page.documentElement;
  const found = {charts: texts, width: root.scrollWidth, room: root.clientWidth,
    scripts: page.scripts.length, images: page.images.length, back: getComputedStyle(page.body).backgroundColor};
  document.querySelector("pre").textContent = JSON.stringify(found);
};
"""


def measured(page: str, width: int, folder: Path) -> Any:
    """Where a browser puts the texts of each chart on a screen of so many pixels, and how wide the page becomes."""
    around = folder / "around.html"
    # The page has no scripts and allows none: what measures it stands around it.
    frame = f'<iframe srcdoc="{escape(page)}" width="{width}" height="900" style="border:0"></iframe>'
    around.write_text(f"<!doctype html><meta charset=utf-8><pre></pre>{frame}<script>{_MEASURE}</script>")
    assert CHROMIUM is not None
    argv = [CHROMIUM, *_ALONE.split(), f"--user-data-dir={folder / 'profile'}", "--dump-dom", around.as_uri()]
    seen = subprocess.run(argv, capture_output=True, text=True, timeout=120).stdout
    found = re.search(r"<pre>(.*?)</pre>", seen, re.DOTALL)
    assert found, seen[:2000]
    return json.loads(unescape(found[1]))
