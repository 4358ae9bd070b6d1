"""axe-core, which finds what keeps people from using a page: fetched from npm, the same version every time."""

from __future__ import annotations

import base64
import functools
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from support.environment import WORK

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


@functools.cache
def source() -> str | None:
    """The script; None where npm is missing or cannot reach its registry."""
    if not (npm := shutil.which("npm")):
        return None
    WORK.mkdir(exist_ok=True)
    fetched = subprocess.run(
        [npm, "pack", "--silent", f"axe-core@{VERSION}"], cwd=WORK, capture_output=True, text=True, check=False
    )
    package = Path(WORK) / f"axe-core-{VERSION}.tgz"
    if fetched.returncode or not package.exists():
        return None
    assert base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() == SHA512
    with tarfile.open(package) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


def faults(driver: Any) -> list[str]:
    """What axe finds on the open page that is serious or critical, a line each.

    The script is put in by the driver, past the page's content security policy.
    """
    driver.execute_script(source())
    found = driver.execute_async_script("axe.run({resultTypes: ['violations']}).then(arguments[arguments.length - 1])")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
