"""Write .env with fresh random secrets for docker-compose.yaml; `make env`. An existing file is never overwritten.

.env.example is the template. Each variable that it leaves empty is a secret, and gets its own value.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / ".env.example"
GENERATORS: dict[str, Callable[[], str]] = {
    # what Fernet.generate_key() returns
    "AIRFLOW_FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    # people type this one
    "AIRFLOW_UI_PASSWORD": lambda: secrets.token_urlsafe(12),
}


def secret(name: str) -> str:
    """Return a new secret. Unless it needs another form, it has only letters and digits: URIs then need no quoting."""
    return GENERATORS.get(name, lambda: secrets.token_hex(32))()


def render(template: str) -> str:
    """Return the template with every empty variable filled in."""
    return re.sub(r"^([A-Z_]+)=$", lambda found: f"{found[1]}={secret(found[1])}", template, flags=re.MULTILINE)


def main(args: list[str]) -> int:
    """Write the file, by default .env beside docker-compose.yaml; return the exit code."""
    if len(args) > 1:
        print("usage: make_env.py [FILE]", file=sys.stderr)
        return 2
    path = Path(args[0]) if args else ROOT / ".env"
    text = render(TEMPLATE.read_text())
    try:
        # O_EXCL: never write to an existing file, or through a link
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(
            f"{path} exists and was not changed: its secrets are in use. To start over: docker compose down -v, rm it."
        )
        return 1
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(f"{path}: written, readable only by you. The UI's user is admin; its password is AIRFLOW_UI_PASSWORD.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
