"""Write a training set to a Parquet file, and record it; `make training-set AS_OF=2024-01-31 OUT=file.parquet`.

A second time it gives the same bytes, or says why not.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told
from streamflow.months import MAX_HORIZON, Month


@errors_told
def main(args: list[str]) -> int:
    """Build the set in the database of the connection streamflow_db; return the exit code."""
    if len(args) != 3 or not args[0] or not args[1].isdecimal() or int(args[1]) > MAX_HORIZON or not args[2]:
        print(
            "usage: make training-set AS_OF=2024-01-31 OUT=file.parquet "
            f"[HORIZON=months, 0 to {MAX_HORIZON}; default 1] [DELIVERIES=folder]",
            file=sys.stderr,
        )
        return 2
    as_of, horizon, out = args
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun
    from streamflow.training import build

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # build removes its unfinished file
    try:
        month = Month.parse(as_of, "AS_OF", "run it with")
        print(build("streamflow_db", month, int(horizon), Path(out).parent, Path(out).name))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
