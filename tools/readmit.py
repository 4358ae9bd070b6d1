"""Let erased users be loaded again; `make readmit USERS_FILE=ids.txt REASON='contract of 2026-11-03'`.

From the month after the newest sealed one. Earlier months stay without them.
"""

from __future__ import annotations

import getpass
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told


@errors_told
def main(args: list[str]) -> int:
    """Readmit the users in the database of the connection streamflow_db; return the exit code."""
    if len(args) != 2 or not args[0] or not args[1].strip():
        print(
            "usage: make readmit USERS_FILE=ids.txt REASON='why, naming no user' [DELIVERIES=folder]", file=sys.stderr
        )
        return 2
    file, reason = args
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is one transaction
    from streamflow.erase import read_users, readmit
    from streamflow.refusal import count

    with Path(file).open("rb") as content:
        users = read_users(content, file)
    readmitted, from_as_of = readmit("streamflow_db", users, getpass.getuser(), reason)
    if not readmitted:
        print(f"None of {count(len(users), 'user')} is erased.", file=sys.stderr)
        return 1
    print(f"{readmitted:,} of {count(len(users), 'user')} readmitted: deliveries from {from_as_of} on may have them.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
