"""Archive the sealed snapshots that are not archived yet, and apply keep_months; `make archive [MONTH=2024-01-31]`."""

from __future__ import annotations

import signal
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told
from streamflow.months import Month


@errors_told
def main(args: list[str]) -> int:
    """Archive from the database of the connection streamflow_db; return the exit code."""
    if len(args) > 1:
        print("usage: make archive [MONTH=2024-01-31] [DELIVERIES=folder]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is not complete does not count
    from streamflow import settings
    from streamflow.archive import archive
    from streamflow.retention import apply_retention

    run_id = f"make_archive__{uuid.uuid4()}"
    month = Month.parse(args[0], "MONTH", "run it with") if args and args[0] else None
    keep = settings.keep_months()
    print(archive("streamflow_db", run_id, month))
    if keep is not None:
        print(apply_retention("streamflow_db", run_id, keep))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
