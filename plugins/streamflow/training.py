"""Training sets as files: the rows of the SQL function ``training_set``, the same bytes every time."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from streamflow import __version__, settings
from streamflow.archive_files import LOCK_SHARED
from streamflow.features import FEATURES, LABEL, Feature
from streamflow.months import Month
from streamflow.parquet import CopiedRows, write_parquet
from streamflow.refusal import NotYet, Refusal, count, ends_task, wrap
from streamflow.templating import render

_ROWS = """copy (select * from public.training_set(%s, %s) order by user_id collate "C") to stdout (format csv)"""


class Recorded(NamedTuple):
    """The newest revision of a set in ``public.training_sets``: the row of ``recorded_training_set.sql``."""

    revision: int
    columns: list[str]
    content_sha256: str
    file_sha256: str
    file_writer: str
    package_version: str
    built_on: str
    restated: list[str]


class TrainingSet(NamedTuple):
    """A training set that was written to a file.

    Attributes:
        as_of: the month of the features.
        horizon: how many months later the label is.
        label_as_of: the month of the label.
        eligible: users who were delivered for ``as_of``, and whose label was not already true then.
        positive: those whose label is true.
        negative: those whose label is false.
        unknown: those whose label was not delivered: they are not in the file.
        path: the file.
        file_sha256: its hash.
        revision: of the set in ``public.training_sets``; None if it was not recorded.
        news: how it differs from the revision before, one sentence each.
    """

    as_of: str
    horizon: int
    label_as_of: str
    eligible: int
    positive: int
    negative: int
    unknown: int
    path: str
    file_sha256: str
    revision: int | None
    news: tuple[str, ...]

    def __str__(self) -> str:
        rows = self.positive + self.negative
        labels = f"{self.positive:,} true, {self.negative:,} false, {self.unknown:,} unknown (left out)"
        lines = [
            f"Features of {self.as_of}: {count(self.eligible, 'eligible user')}.",
            f"Labels of {self.label_as_of}, horizon {self.horizon}: {labels}.",
        ]
        if not self.horizon:
            lines.append("Horizon 0: the labels are of the same month as the features. Nothing is predicted.")
        lines += [*self.news, f"{self.path}: {count(rows, 'row')}, SHA-256 {self.file_sha256}"]
        return "\n".join(lines)


def columns_of(horizon: int) -> dict[str, str]:
    """Return the columns of a training set's file in order, with their types in PostgreSQL.

    With horizon 0, the label is called ``<label>_same_month``, because it predicts nothing.

    Raises:
        Refusal: if no table has a label.
    """
    label = _label()
    return {
        "user_id": "text",
        **{feature.name: feature.column.type for feature in FEATURES},
        label.name if horizon else f"{label.name}_same_month": label.column.type,
    }


def _label() -> Feature:
    """Return the label.

    Raises:
        Refusal: if no table has one.
    """
    if LABEL is None:
        raise Refusal(
            "There are no training sets, because no table of include/tables has a label.",
            to_do="name the column to predict in its table.yaml, for example label: churn_label (docs/training.md)",
        )
    return LABEL


def build(conn_id: str, month: Month, horizon: int, folder: Path, name: str | None = None) -> TrainingSet:
    """Write a training set to a Parquet file, and record it if the connection's user may.

    One transaction reads everything, so a restatement at the same time is in the set as a whole or not at all. A
    file that exists is replaced when the new one is complete, and before the record is committed: a record without its
    file would be worse than a file without its record, which the next build adds.

    Args:
        conn_id: connection of the database.
        month: the month of the features.
        horizon: how many months later the label is, 0 to 120.
        folder: of the file; it is created if needed.
        name: the file's name; by default ``<as_of>_horizon_<months>_revision_<number>.parquet``.

    Raises:
        Refusal: if there is no label, if the file is a folder, or if the rows differ from the recorded set and nothing
            explains it.
        NotYet: if another build has recorded the set in the meantime.
        psycopg.errors.RaiseException: if one of the two months is not sealed, or the horizon is not possible.
    """
    columns = columns_of(horizon)
    if name is not None and (folder / name).is_dir():
        raise Refusal(f"Expected a file, found the folder {(folder / name).resolve()}.", to_do="name a file in it")
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{uuid.uuid4().hex}.unfinished"  # two may build the same file at once
    try:
        connection: Any = PostgresHook(conn_id).get_conn()  # psycopg's; the hook promises less
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(LOCK_SHARED)
            connection.commit()
            built = _build(cursor, month, horizon, columns, unfinished)
            path = folder / (name or f"{month}_horizon_{horizon}_revision_{built.revision}.parquet")
            unfinished.replace(path)
            connection.commit()
    finally:
        unfinished.unlink(missing_ok=True)
    return built._replace(path=str(path))


def _build(cursor: Any, month: Month, horizon: int, columns: dict[str, str], unfinished: Path) -> TrainingSet:
    """Write and record the set in the cursor's transaction."""
    import psycopg

    key = (month.as_of, horizon)
    cursor.execute(render("parts/training_session.sql"))
    eligible, positive, negative, unknown = cursor.execute(
        "select * from public.training_set_counts(%s, %s)", key
    ).fetchone()
    before = _newest(cursor, month, horizon)
    with cursor.copy(_ROWS, key) as copy:
        rows = CopiedRows(copy)
        file_writer = write_parquet(rows, unfinished, columns)
    with unfinished.open("rb") as file:
        file_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    made = (list(columns), rows.sha256.hexdigest(), file_sha256, file_writer)
    (may_record,) = cursor.execute("select has_schema_privilege('staging', 'usage')").fetchone()
    if may_record:
        try:
            cursor.execute("select staging.record_training_set(%s, %s, %s, %s, %s, %s)", (*key, *made))
        except psycopg.errors.UniqueViolation:
            raise NotYet(
                f"Another build of the set as of {month}, horizon {horizon}, has recorded it in the meantime.",
                "This one has written nothing.",
            ) from None
    after = _newest(cursor, month, horizon) if may_record else None
    news = (*_differences(before, *made), *_record(before, after))
    return TrainingSet(
        as_of=str(month),
        horizon=horizon,
        label_as_of=str(month.later(horizon)),
        eligible=eligible,
        positive=positive,
        negative=negative,
        unknown=unknown,
        path=str(unfinished),
        file_sha256=file_sha256,
        revision=after.revision if after else None,
        news=news,
    )


def _newest(cursor: Any, month: Month, horizon: int) -> Recorded | None:
    """Return what is recorded of a set."""
    parameters = {"as_of": month.as_of, "horizon": horizon}
    row = cursor.execute(render("parts/recorded_training_set.sql"), parameters).fetchone()
    return Recorded(*row) if row else None


def _record(before: Recorded | None, after: Recorded | None) -> list[str]:
    """Say whether the set was recorded; nothing if it already was."""
    if after is None:
        return ["Not recorded: the database user may only read."]
    return [] if before and before.revision == after.revision else [f"Recorded as revision {after.revision}."]


def _differences(before: Recorded | None, columns: list[str], content: str, file: str, writer: str) -> list[str]:
    """Say how a set differs from the recorded one, and why.

    Raises:
        Refusal: if nothing explains it.
    """
    if before is None:
        return []
    revision = f"revision {before.revision}, built on {before.built_on}"
    if file == before.file_sha256:
        return [f"The same bytes as {revision}."]
    why = [f"Restated since {revision}: {one}." for one in before.restated]
    if columns != before.columns:
        differ = [name for name in (*columns, *before.columns) if (name in columns) != (name in before.columns)]
        why.append(f"Other columns than {revision}: {', '.join(differ) or 'their order'}.")
    if content == before.content_sha256:
        why.append(f"The same rows as {revision}, written by {writer}, before by {before.file_writer}.")
    elif not why and before.package_version != __version__:
        why.append(f"Other rows than {revision} by another version of the package ({before.package_version}).")
    if not why:
        raise Refusal(
            f"Other rows than {revision}, although none of its sources was restated since.",
            "Something other than this pipeline wrote to the snapshots.",
            "The file was not written.",
            to_do="make verify, which names the differences",
        )
    return why


class TrainingSetOperator(BaseOperator):
    """Build the training sets that a month completes, and name the sets that are out of date.

    These are the set whose labels are of the month, and, if a later month was sealed first, the set whose features are
    of it. The second is built only once: after that, a restatement of features only marks it. The task is skipped if
    there is no set to build, because the other month is not sealed, or the month is before the label table's first one.

    The file is ``<as_of>_horizon_<months>_revision_<number>.parquet``, in a folder per database below the folder of
    training sets. So a restatement does not replace the file that a model was trained on.

    Args:
        label_as_of: the month that was sealed or changed (templated).
        conn_id: connection of the database.

    Returns (XCom):
        A list of the attributes of each :class:`TrainingSet`.

    Raises:
        TaskRefused: if the run is for no month; and for the refusals of :func:`build`.
    """

    template_fields: Sequence[str] = ("label_as_of",)

    def __init__(self, *, label_as_of: str, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_as_of = label_as_of
        self.conn_id = conn_id

    @ends_task
    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Build the sets, and log the sets that are out of date."""
        if not self.label_as_of:
            raise Refusal(
                "This run is for no month.",
                "Expected a partition key, as events of the asset sealed_month have, or the param label_as_of.",
                to_do="trigger a run with the param label_as_of, for example 2024-02-29",
            )
        horizon = context["params"]["horizon"]
        sealed = Month.parse(self.label_as_of, "label_as_of")
        hook = PostgresHook(self.conn_id)
        recorded = hook.get_records(render("parts/training_sets_of_month.sql"), parameters={"month": str(sealed)})
        for as_of, months, restated in recorded:
            for one in restated:
                self.log.warning("The set as of %s, horizon %s, is out of date: %s.", as_of, months, one)
        folder = settings.training_sets_folder() / settings.database_folder(self.conn_id)
        to_build = hook.get_records(render("parts/training_sets_to_build.sql"), parameters=_months(sealed, horizon))
        features = [Month(as_of) for (as_of,) in to_build]
        if not features:
            raise AirflowSkipException(
                f"No set to build: features of {sealed.later(-horizon)} or labels of {sealed} are not sealed."
            )
        built = [build(self.conn_id, month, horizon, folder) for month in features]
        for one in built:
            for line in wrap(str(one)):
                self.log.info("%s", line)
        return [one._asdict() for one in built]


def _months(sealed: Month, horizon: int) -> dict[str, Any]:
    """Return the parameters of ``training_sets_to_build.sql``."""
    return {
        "label_table": _label().table.name,
        "horizon": horizon,
        "features": sealed.later(-horizon).as_of,
        "sealed": sealed.as_of,
        "labels": sealed.later(horizon).as_of,
    }
