"""`python -m gatewise` is `gatewise`."""

from __future__ import annotations

from gatewise.cli import main

if __name__ == "__main__":
    main()
