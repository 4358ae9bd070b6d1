"""Erase users; `make erase USERS_FILE=ids.txt REASON='request 17'`. The file has one user_id per line.

Shows what it would remove, and asks before it does; `--yes` does not ask. If it is interrupted, start it again with the
same file: it goes on where it was. Exits with 1 if nothing was erased for a reason that it prints.
"""

from __future__ import annotations

import datetime as dt
import getpass
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told

USAGE = "usage: make erase USERS_FILE=ids.txt REASON='why, naming no user' [YES=1] [DELIVERIES=folder]"


@errors_told
def main(args: list[str]) -> int:
    """Erase the users from the database of the connection streamflow_db; return the exit code."""
    is_approved = "--yes" in args
    match [argument for argument in args if argument != "--yes"]:
        case [file, reason] if file and reason.strip():
            pass
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    if not is_approved and not sys.stdin.isatty():
        print("make erase asks on the terminal, and there is none; in a script, add YES=1", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # each month is a transaction, and it can be started again
    from streamflow.approval import Approval
    from streamflow.erase import erase, plan, read_users
    from streamflow.erased_traces import remove_traces

    try:
        with Path(file).open("rb") as content:
            users = read_users(content, file)
        print(*plan("streamflow_db", users).lines, sep="\n")
        if not is_approved and input("This cannot be undone. Erase them? (yes/no) ").strip().lower() != "yes":
            print("Nothing was erased.")
            return 1
        now = dt.datetime.now(dt.UTC)
        run_id = f"make_erase__{now:%Y-%m-%dT%H:%M:%S}"
        erased = erase("streamflow_db", users, Approval(getpass.getuser(), now, reason), run_id)
        print(*erased.lines, sep="\n")
        print(*remove_traces("streamflow_db", "streamflow_fs", users).lines, sep="\n")
        if erased.validations:
            runs = ", ".join(sorted({f"{run} {table}.validate" for run, table in erased.validations}))
            print(f"XComs of these tasks may quote them, and only the DAG streamflow_erase deletes those: {runs}.")
    except EOFError:
        print("\nNothing was erased.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
