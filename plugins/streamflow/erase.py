"""Erases users: what it would remove, the erasure itself, month by month, and a user's readmission."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from typing import IO, Any, NamedTuple

from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow.approval import Approval
from streamflow.archive_files import LOCK
from streamflow.delivery import open_below
from streamflow.erase_archives import bring_back, files_with, rewrite
from streamflow.erased import assert_same_key, read_key
from streamflow.places import below, without_credentials
from streamflow.plain import LONGEST, as_cell, printable
from streamflow.refusal import Refusal, count
from streamflow.tables import TABLES
from streamflow.templating import render

_QUOTED = 6  # ids with fewer characters are looked for in quotes only: they are part of other words

_ROWS = """
select as_of::text, table_name, inserted + updated + unchanged + carried_forward from staging.count_erased(%s)
"""
_OTHER_KEYS = "select distinct key_fingerprint from public.erasures"
_RECORD = "select staging.record_erasure(%s, %s, %s, %s, %s, %s)"
_MONTHS = """
select distinct as_of::text from public.erasure_months where erasure_id = %s and erased_at is null order by as_of
"""
_TOUCHED = "select distinct as_of::text from public.erasure_months where erasure_id = %s order by as_of"
_ERASE_MONTH = "select staging.erase_month(%s, %s, %s)"
_ANALYZE = "select staging.analyze_erased(%s)"
_FINISH = "select run_id, table_name from staging.finish_erasure(%s, %s, %s)"
_READMIT = "select users, from_as_of::text from staging.readmit(%s, %s, %s, %s)"


class Plan(NamedTuple):
    """What an erasure would remove. It names no user.

    Attributes:
        users: how many users.
        unknown: how many of them have no row in any snapshot.
        rows: rows to remove, by month and table.
        hash_of_list: tells whether the users are still the same when the plan was approved.
        brought_back: how many of the months are only in the archive, and come back into the database for it.
    """

    users: int
    unknown: int
    rows: dict[str, dict[str, int]]
    hash_of_list: str
    brought_back: int = 0

    @property
    def lines(self) -> list[str]:
        """The plan in words: a line per month."""
        total = sum(sum(tables.values()) for tables in self.rows.values())
        months = count(len(self.rows), "sealed month")
        said = [f"{count(self.users, 'user')}: {count(total, 'row')} in {months} would be erased."]
        if self.unknown:
            said.append(
                f"{self.unknown} of them {'has' if self.unknown == 1 else 'have'} no rows; "
                "later deliveries leave them out too."
            )
        if self.brought_back:
            said.append(
                f"{count(self.brought_back, 'month')} of them {'is' if self.brought_back == 1 else 'are'} only in the "
                "archive: the database must have room for all of them, until streamflow_archive runs again."
            )
        for as_of, tables in self.rows.items():
            said.append(f"  - {as_of}: {', '.join(f'{name} {rows:,}' for name, rows in tables.items())}")
        return said


class Erased(NamedTuple):
    """What an erasure has removed. It names no user.

    Attributes:
        erasure_id: of its rows in ``public.erasures``; empty if there was nothing to erase.
        users: how many users.
        rows: rows removed by this run, by month; an interrupted erasure removed others before.
        months: the months that the erasure has changed, of all its runs.
        validations: run and table of the validations whose results named them.
        archived: what has become of archived files that had them, in words.
    """

    erasure_id: str
    users: int
    rows: dict[str, int]
    months: list[str]
    validations: list[tuple[str, str]]
    archived: list[str]

    @property
    def lines(self) -> list[str]:
        """What was removed, in words."""
        if not self.erasure_id:
            return ["They were erased before, and have no rows."]
        total = sum(self.rows.values())
        return [
            f"{count(self.users, 'user')} erased: {count(total, 'row')} in {count(len(self.rows), 'sealed month')}.",
            *(f"  - {as_of}: {count(rows, 'row')}" for as_of, rows in self.rows.items()),
            *self.archived,
        ]


def plan(conn_id: str, users: list[str]) -> Plan:
    """Return what an erasure would remove. Read-only.

    Args:
        conn_id: connection of the database.
        users: their ids.

    Raises:
        Refusal: if there is no key, or another one than that of earlier erasures.
    """
    key = read_key()
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    with closing(_connect(conn_id)) as connection, connection.cursor() as cursor:
        assert_same_key(key, [fingerprint for (fingerprint,) in cursor.execute(_OTHER_KEYS).fetchall()])
        for as_of, table, number in cursor.execute(_ROWS, (users,)).fetchall():
            rows[as_of][table] = number
        unknown = {user for (user,) in cursor.execute(render("parts/unknown_users.sql"), {"users": users}).fetchall()}
        brought_back = set()
        for file in files_with(conn_id, cursor, users):
            unknown -= file.users
            if file.is_only_archived:
                brought_back.add(file.as_of)
                rows[file.as_of][file.table] = len(file.users)  # a snapshot has one row per user
    in_order = {
        as_of: {name: tables[name] for name in TABLES if name in tables} for as_of, tables in sorted(rows.items())
    }
    return Plan(len(users), len(unknown), in_order, key.hash_of_list(users), len(brought_back))


def erase(conn_id: str, users: list[str], approval: Approval, run_id: str) -> Erased:
    """Erase users from live, snapshots, staging, and the logs in the database.

    First it records who is erased, so that no delivery brings them back meanwhile; then each month is a transaction of
    its own, oldest first. It can be interrupted at any point: started again with the same users, it goes on. Months
    that are only in the archive are brought back first, if they have the users; then the archive is written anew.

    Args:
        conn_id: connection of the database.
        users: their ids.
        approval: who has approved it, when, and why; the reason goes to the ledger.
        run_id: what the ledger calls this run.

    Raises:
        Refusal: if there is no reason, if the reason names one of the users, or if there is no key or another one.
        psycopg.errors.RaiseException: if an erasure of other users was interrupted.
    """
    if not approval.why.strip():
        raise Refusal("An erasure needs a reason.", to_do="give one: it goes to the ledger, so it must name no user")
    if _names(f"{approval.why}\n{approval.by}", users):
        raise Refusal(
            "The reason, or who approves it, names one of the users.",
            "Both are kept in the ledger.",
            "Nothing was erased.",
            to_do="give a reason that names no one, such as the number of the request",
        )
    key = read_key()
    rows: dict[str, int] = {}
    with closing(_connect(conn_id)) as connection, connection.cursor() as cursor:
        cursor.execute(LOCK)
        bring_back(conn_id, (one.as_of for one in files_with(conn_id, cursor, users) if one.is_only_archived))
        recorded = (
            users,
            [key.hash(user) for user in users],
            [key.bucket(user) for user in users],
            key.fingerprint,
            json.dumps(approval.as_xcom()),
            run_id,
        )
        (erasure,) = cursor.execute(_RECORD, recorded).fetchone()
        connection.commit()
        if erasure is None:
            changed = cursor.execute(render("parts/months_of_users.sql"), {"hashes": recorded[1]}).fetchall()
            return Erased("", len(users), {}, [as_of for (as_of,) in changed], [], [])
        before = cursor.execute(render("parts/months_before.sql"), {"erasure": erasure}).fetchall()
        connection.commit()
        bring_back(conn_id, (as_of for (as_of,) in before))
        for (as_of,) in cursor.execute(_MONTHS, (erasure,)).fetchall():
            rows[as_of] = _erase_month(cursor, erasure, as_of, users)
            connection.commit()
        months = [as_of for (as_of,) in cursor.execute(_TOUCHED, (erasure,)).fetchall()]
        cursor.execute(_ANALYZE, (users,))
        connection.commit()
        archived = rewrite(conn_id, cursor, users, run_id)
        validations = cursor.execute(_FINISH, (erasure, users, terms_of(users))).fetchall()
        connection.commit()
    return Erased(str(erasure), len(users), rows, months, validations, archived)


def _erase_month(cursor: Any, erasure: Any, as_of: str, users: list[str]) -> int:
    """Erase users from a sealed month; return how many rows were removed. The caller commits."""
    (rows,) = cursor.execute(_ERASE_MONTH, (erasure, as_of, users)).fetchone()
    return rows


def readmit(conn_id: str, users: list[str], by: str, why: str) -> tuple[int, str]:
    """Let erased users be loaded again, from the month after the newest sealed one.

    Args:
        conn_id: connection of the database.
        users: their ids.
        by: who decides it.
        why: the reason; it is kept beside the erasure, so it must name no user.

    Returns:
        How many of them were erased, and the first month that may have them (``YYYY-MM-DD``).

    Raises:
        Refusal: if the reason names one of the users, or if there is no key.
        psycopg.errors.RaiseException: if there is no reason, if the key is another one, or if an erasure has not ended.
    """
    if _names(f"{why}\n{by}", users):
        raise Refusal(
            "The reason, or who decides it, names one of the users.",
            "Both are kept in the database.",
            "No one was readmitted.",
            to_do="give a reason that names no one, such as the number of the request",
        )
    key = read_key()
    with closing(_connect(conn_id)) as connection, connection.cursor() as cursor:
        hashes = [key.hash(user) for user in users]
        readmitted, from_as_of = cursor.execute(_READMIT, (hashes, key.fingerprint, by, why)).fetchone()
        connection.commit()
    return readmitted, from_as_of


def users_of(said: str | Iterable[str], root: str) -> list[str]:
    """Return the users to erase, each once.

    Args:
        said: a list of ids, or the path of a file below ``root`` with one id per line.
        root: the deliveries' folder, or its URL.

    Raises:
        Refusal: if there is none, or if the file cannot be read.
    """
    if not isinstance(said, str):
        return _checked(said, "user_ids")
    if not said.strip():
        return _checked([], "user_ids")
    name = said.strip()
    try:
        with open_below(root, name) as file:
            return read_users(file, name)
    except OSError as error:
        raise Refusal(
            f"{without_credentials(below(root, name))} cannot be read: {error.strerror}.",
            "Expected a list of user_ids, or a file in the deliveries' folder with one user_id per line.",
            to_do="name such a file in user_ids, by its path below that folder",
        ) from None


def read_users(file: IO[bytes], name: str) -> list[str]:
    """Return the users in a file with one id per line, each once; the first line may be ``user_id``.

    Args:
        file: the file, opened in binary mode.
        name: what to call it in messages.

    Raises:
        Refusal: if it is not UTF-8, or has no id.
    """
    try:
        lines = [line.removesuffix("\r") for line in file.read().decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError:
        raise Refusal(f"{name}: expected UTF-8 text.", to_do="export the file as UTF-8") from None
    return _checked(lines[1:] if lines[:1] == ["user_id"] else lines, name)


def _checked(users: Iterable[str], name: str) -> list[str]:
    found = [*dict.fromkeys(user for user in map(str, users) if user.strip())]
    if any("\0" in user for user in found):
        raise Refusal(f"{name}: a user_id has a NUL character, which no user_id can have.", to_do="correct the list")
    if not found:
        raise Refusal(f"{name} names no user.", "Expected one user_id per line.", to_do="list the user_ids to erase")
    return found


def terms_of(users: Iterable[str]) -> list[str]:
    """Return the texts by which logs and reports may name users: as they are, cut, escaped, and in JSON.

    A short id is looked for in quotes only, as logs show it.
    """
    terms: set[str] = set()
    for user in users:
        cut = user[:LONGEST]
        if len(user) >= _QUOTED and re.fullmatch(r"[\w.@:-]+", cut, re.ASCII):  # the same however it is written
            terms.add(cut)
            continue
        quoted = {repr(cut), json.dumps(user), json.dumps(user, ensure_ascii=False)}
        terms |= quoted | {json.dumps(one, ensure_ascii=False)[1:-1] for one in quoted}
        if len(user) >= _QUOTED:
            terms |= {cut, repr(cut)[1:-1], printable(cut), as_cell(cut), json.dumps(cut)[1:-1]}
    return sorted(terms)


def _names(text: str, users: Iterable[str]) -> bool:
    """Return whether what a person has written names one of some users, also one with a short id."""
    return any(term in text for term in terms_of(users)) or any(
        re.search(rf"(?<!\w){re.escape(user)}(?!\w)", text) for user in users
    )


def _connect(conn_id: str) -> Any:
    """Return a connection of psycopg's; the hook promises less."""
    connection: Any = PostgresHook(conn_id).get_conn()
    return connection
