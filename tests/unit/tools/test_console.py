"""What is printed of an error."""

from __future__ import annotations

import psycopg

from console import lines_of


def test_a_no_of_the_database_is_not_taken_for_its_absence():
    message = "the database does not have the schema that this version of the package needs"
    assert lines_of(psycopg.errors.InsufficientPrivilege(message)) == [f"InsufficientPrivilege: {message}"]
