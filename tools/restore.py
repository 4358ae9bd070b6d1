"""Bring a sealed month back from the archive into the database; `make restore MONTH=2024-01-31`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told
from streamflow.months import Month


@errors_told
def main(args: list[str]) -> int:
    """Restore into the database of the connection streamflow_db; return the exit code."""
    if len(args) != 1 or not args[0]:
        print("usage: make restore MONTH=2024-01-31 [DELIVERIES=folder]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is one transaction
    from streamflow.refusal import count
    from streamflow.restore import restore

    month = Month.parse(args[0], "MONTH", "run it with")
    restored = restore("streamflow_db", month)
    if restored:
        print(
            f"{month}: {count(len(restored), 'snapshot')} brought back from the archive; the ledger is unchanged.\n"
            "If keep_months is set, the next run of streamflow_archive drops the month again."
        )
    else:
        print(f"{month} is in the database already.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
