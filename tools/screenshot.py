"""Take docs/page.png, the picture of the README: the served page with the bundled model, drawn by chromium.

make screenshot
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote_plus

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.serve.page.conftest import CHROMIUM, QUIET

OUT = Path("docs/page.png")
MAX_BYTES = 300_000
TEXT = "This is not a bad film; I was never bored, and nothing in it felt cheap."


def main() -> None:
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "gatewise", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://[\w.:\[\]]+", line)))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            size = {"width": 1280, "height": 1255}
            page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
            page.goto(f"{address}/#t={quote_plus(TEXT)}")
            page.wait_for_function("() => window.gatewise?.store.get().data?.attribution")
            page.wait_for_function("() => gatewise.store.get().data.heatmaps.size")
            page.wait_for_timeout(1000)
            page.screenshot(path=OUT)
    finally:
        server.terminate()
        server.wait()
    if (size_of_file := OUT.stat().st_size) > MAX_BYTES:
        sys.exit(f"{OUT} has {size_of_file:,} bytes, more than {MAX_BYTES:,}")


if __name__ == "__main__":
    main()
