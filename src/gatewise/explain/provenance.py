"""Where a report comes from: the fingerprint of its model, and the line that names model, date and command."""

from datetime import UTC, datetime

from gatewise._version import __version__
from gatewise.errors import printable


def provenance(fingerprint: str, name: str, command: str = "") -> str:
    """One line: the model's name and fingerprint, today's date (UTC), the version of gatewise, and the command."""
    identity = f"Model {printable(name, 200)}, fingerprint {fingerprint}"
    made = f"{identity}. Made on {datetime.now(UTC).date()} by gatewise {__version__}"
    return f"{made}: {printable(command, 300)}" if command else f"{made}."
