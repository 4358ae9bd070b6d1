"""What is kept of users outside the database: reports, files of training sets, logs, XComs, and the delivered files."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from airflow.providers.standard.hooks.filesystem import FSHook
from airflow.sdk import conf

from streamflow import month_folder, settings
from streamflow.delivery import delivery_at
from streamflow.erase import terms_of
from streamflow.forms import as_csv
from streamflow.places import below, place_of, without_credentials
from streamflow.plain import as_cell
from streamflow.refusal import Refusal, count
from streamflow.storage_errors import storage_errors
from streamflow.tables import TABLES

_INGEST = "streamflow_monthly_ingest"
_ROWS_AT_ONCE = 1 << 16


class Traces(NamedTuple):
    """What was found of erased users outside the database, and deleted where the package may delete it.

    Attributes:
        reports: pages and lists that named them, deleted.
        training_sets: files of training sets with rows of theirs, deleted: they can be built again.
        logs: local logs of tasks that name them; they are Airflow's, and stay.
        delivered: delivered files with rows of theirs, and how many; they are only read, and stay. -1: the file could
            not be read.
    """

    reports: int
    training_sets: list[str]
    logs: list[str]
    delivered: dict[str, int]

    @property
    def lines(self) -> list[str]:
        """What was found, in words."""
        said = [
            f"Pages and lists that named them, deleted: {self.reports:,}.",
            f"Files of training sets with them, deleted: {len(self.training_sets):,}.",
            *(f"  - {name}" for name in self.training_sets),
        ]
        if self.logs:
            said.append(f"Logs of tasks that name them, for who keeps Airflow's logs: {len(self.logs):,}.")
            said += [f"  - {name}" for name in self.logs]
        with_rows = {name: rows for name, rows in self.delivered.items() if rows}
        if with_rows:
            said.append("Delivered files that still have them, for who owns the files:")
            said += [
                f"  - {name}: {count(rows, 'row') if rows > 0 else 'could not be read'}"
                for name, rows in with_rows.items()
            ]
        else:
            said.append("No delivered file has them.")
        return said


def remove_traces(conn_id: str, fs_conn_id: str, users: list[str]) -> Traces:
    """Delete the package's own files that name users, and find the other files that do.

    Args:
        conn_id: connection of the database.
        fs_conn_id: connection whose path holds the month folders.
        users: their ids.
    """
    database = settings.database_folder(conn_id)
    reports = [*files_that_name(settings.reports_folder() / database, users)]
    for path in reports:
        path.unlink(missing_ok=True)
    sets = [*_sets_with(settings.training_sets_folder() / database, users)]
    for path in sets:
        path.unlink(missing_ok=True)
    logs = Path(conf.get("logging", "base_log_folder"))
    return Traces(
        len(reports),
        [path.name for path in sets],
        [str(path) for folder in sorted(logs.glob("dag_id=streamflow_*")) for path in files_that_name(folder, users)],
        dict(_delivered_with(FSHook(fs_conn_id).get_path(), users)),
    )


def delete_xcoms(validations: Iterable[tuple[str, str]]) -> None:
    """Delete the XComs of validations, which quote what the validations have found. Only a task may call it.

    Args:
        validations: run and table of each.
    """
    from airflow.sdk.execution_time.xcom import XCom

    for run_id, table in sorted({*validations}):
        XCom.delete(key="return_value", task_id=f"{table}.validate", dag_id=_INGEST, run_id=run_id)


def files_that_name(folder: Path, users: Iterable[str]) -> Iterator[Path]:
    """Yield the pages, lists, and logs of a folder that name one of some users."""
    users = [*users]
    terms = re.compile("|".join(map(re.escape, terms_of(users))))
    cells = {as_cell(user) for user in users}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".html", ".csv", ".log") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".html":
            text = html.unescape(text)
        if terms.search(text) or (
            path.suffix == ".csv" and any(cell in cells for row in csv.reader(io.StringIO(text)) for cell in row)
        ):
            yield path


def _sets_with(folder: Path, users: list[str]) -> Iterator[Path]:
    """Yield the files of training sets that have rows of some users."""
    import pyarrow as pa
    from pyarrow import parquet

    wanted = {*users}
    for path in sorted(folder.glob("*.parquet")):
        try:
            with parquet.ParquetFile(path) as file:
                batches = file.iter_batches(_ROWS_AT_ONCE, columns=["user_id"])
                has_them = any(not wanted.isdisjoint(batch.column(0).to_pylist()) for batch in batches)
        except (pa.ArrowException, IndexError):
            has_them = True  # it cannot be read, and can be built again
        if has_them:
            yield path


def _delivered_with(root: str, users: list[str]) -> Iterator[tuple[str, int]]:
    """Yield each delivered file with rows of some users, and how many; -1 if it cannot be read."""
    pattern = re.compile(month_folder.as_regex(settings.month_folder()))
    try:
        with storage_errors(root):
            places = [one for one in place_of(root).iterdir() if pattern.fullmatch(one.name) and one.is_dir()]
        folders = {one.name: delivery_at(below(root, one.name)) for one in places}
        names = {
            folder: [name for table in TABLES.values() for name in delivery.names(table.file_name, None)]
            for folder, delivery in sorted(folders.items())
        }
    except (OSError, Refusal):
        yield without_credentials(root), -1
        return
    for folder, file_names in names.items():
        for file_name in file_names:
            try:
                with folders[folder].open(file_name) as file:
                    rows = rows_of(as_csv(file.content, file_name), users)
            except (OSError, ValueError, StopIteration, csv.Error, Refusal):
                rows = -1
            if rows:
                yield f"{folder}/{file_name}", rows


def rows_of(file: IO[bytes], users: Iterable[str]) -> int:
    """Return how many rows of a CSV file are of some users.

    Args:
        file: the file, opened in binary mode, at its beginning.
        users: their ids.

    Raises:
        ValueError: if it has no column user_id.
    """
    wanted = {*users}
    as_bytes = {user.encode() for user in wanted}
    key = next(csv.reader([file.readline().decode("utf-8-sig")])).index("user_id")
    rows = 0
    for line in file:
        cell = line.split(b",", 1)[0]
        if key == 0 and not cell.startswith(b'"'):  # nearly every row of a large file
            rows += cell.rstrip(b"\r\n") in as_bytes
            continue
        cells = next(csv.reader([line.decode(errors="replace")]), [])
        rows += len(cells) > key and cells[key] in wanted
    return rows
