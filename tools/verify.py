"""Compare snapshots with the ledger, live with the newest snapshot, and the archive with its record; `make verify`.

Exits with 1 and names every difference if there are any; also exits with 1 if no month is sealed.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told


@errors_told
def main(args: list[str]) -> int:
    """Verify the database of the connection streamflow_db; return the exit code."""
    if args:
        print("usage: make verify [DELIVERIES=folder]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is read-only
    from streamflow.templating import render
    from streamflow.verify import verify

    sql = [render(f"{name}.sql") for name in ("tasks/verify", "parts/verified", "parts/archived_files")]
    verified = verify("streamflow_db", *sql)
    print(verified)
    return 0 if verified.months else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
