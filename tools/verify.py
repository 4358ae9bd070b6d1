"""Say whether everything is as it was sealed; `make verify`. Exits 1 and names every difference if it is not."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from streamflow.templating import render
from streamflow.verify import find_differences

differences = find_differences("streamflow_db", render("verify.sql"))
for difference in differences:
    print(difference)
print(f"{len(differences)} differences." if differences else "Everything is as it was sealed.")
sys.exit(bool(differences))
