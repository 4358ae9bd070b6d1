"""The first step: a schema of this version is left alone, and one of another version is told."""

from __future__ import annotations

import pytest

from streamflow.refusal import TaskRefused
from support.builders import FEBRUARY
from support.run import Refused
from support.sealing import run_of, tables_of


def test_prepare_leaves_a_schema_of_this_version_alone(january, tmp_path):
    before = tables_of(january)
    run_of(january, tmp_path).execute("prepare")
    assert tables_of(january) == before
    assert january.query("select run_id from staging.runs where as_of = %s", FEBRUARY) == [(january.run_id,)]


def test_prepare_says_what_to_do_with_a_schema_of_another_version(january, tmp_path):
    january.run_as_admin("comment on schema staging is 'another version'")
    before = january.contents(ledger=True)
    with pytest.raises(Refused) as refused:
        run_of(january, tmp_path).execute("prepare")
    assert isinstance(refused.value.error, TaskRefused)  # which is not tried again
    what, why, to_do = refused.value.message.splitlines()
    assert what == "the database streamflow_test does not have the schema that this version of the package needs."
    assert why.startswith("The user streamflow_ingest has no right to change it (")
    assert to_do.startswith("What to do: install it as its owner (make schema; see docs/deployment.md)")
    assert january.contents(ledger=True) == before
