"""`make env`: fresh secrets, for their owner alone."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

import make_env
from support.paths import ROOT

EXAMPLE = (ROOT / ".env.example").read_text()
SECRETS = re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)


@pytest.fixture
def written(tmp_path) -> dict[str, str]:
    """The variables that `make env` writes."""
    assert make_env.main([str(tmp_path / ".env")]) == 0
    return dict(re.findall(r"^([A-Z_]+)=(.+)$", (tmp_path / ".env").read_text(), re.MULTILINE))


def test_env_has_a_fresh_secret_of_its_own_for_each(written, tmp_path):
    assert make_env.main([str(tmp_path / "another")]) == 0
    another = (tmp_path / "another").read_text()
    assert set(SECRETS) == set(written)
    assert len(set(written.values())) == len(SECRETS)
    for name, value in written.items():
        assert len(value) >= 16
        assert value not in another
        assert re.fullmatch(r"[\w=-]+", value), name  # URIs, JSON and shells take it as it is
    Fernet(written["AIRFLOW_FERNET_KEY"])


def test_env_is_the_owners_alone_and_never_overwritten(tmp_path):
    path = tmp_path / ".env"
    command = [sys.executable, ROOT / "tools" / "make_env.py", path]
    os.umask(mask := os.umask(0))
    try:
        os.umask(0)
        first = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (second.returncode, path.read_bytes()) == (1, before)
    for secret in re.findall(r"^[A-Z_]+=(.+)$", before.decode(), re.MULTILINE):
        assert secret not in first.stdout + first.stderr + second.stdout + second.stderr


def test_env_is_not_written_through_a_link(tmp_path):
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    assert make_env.main([str(tmp_path / ".env")]) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_env_is_never_committed():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    tracked = subprocess.run(["git", "ls-files", ".env"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert tracked.stdout == ""
