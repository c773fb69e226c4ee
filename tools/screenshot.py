"""Take the screenshot of the README: the served page with a trained model, rendered by chromium.

    make screenshot        writes docs/page.png, with the bundled model

The text is one of the page's examples.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote_plus

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
MAX_BYTES = 300_000
TEXT = "This is not a bad film; I was never bored, and nothing in it felt cheap."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, default=Path("docs/page.png"))
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("GATEWISE_CHROMIUM") or shutil.which("chromium")
    command = [sys.executable, "-m", "gatewise", "serve", "-m", options.model, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://[\w.:\[\]]+", line)))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
            size = {"width": 1280, "height": 1255}
            page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
            page.goto(f"{address}/#t={quote_plus(TEXT)}")
            page.wait_for_function("() => window.gatewise?.store.get().data?.attribution")
            page.wait_for_function("() => gatewise.store.get().data.heatmaps.size")
            page.wait_for_timeout(1000)
            page.screenshot(path=options.out)
            browser.close()
    finally:
        server.terminate()
        server.wait()
    size_bytes = options.out.stat().st_size
    print(f"wrote {options.out}: {size_bytes:,} bytes")
    if size_bytes > MAX_BYTES:
        sys.exit(f"{options.out} is larger than {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    main()
