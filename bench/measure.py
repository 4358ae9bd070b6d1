"""Run a command and write what it took to a file: `python -I -S measure.py RESULT COMMAND …`.

It is a separate, small process, because the kernel includes the memory of the process that starts a command in the
command's peak. So no command shows a peak below the 10 MB of this one.
"""

import json
import os
import sys
import time


def main(result: str, command: list[str]) -> int:
    """Run ``command``, write its ``result`` as JSON, and return its exit code."""
    began, since = time.time(), time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    took = {
        "began": began,
        "seconds": time.monotonic() - since,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    with open(result, "w") as file:  # noqa: PTH123 (pathlib would be in its memory)
        json.dump(took, file)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
