"""What the UI shows about the DAG and its tasks."""

from streamflow import __version__
from streamflow.refusal import RUN_AGAIN

DAG = f"""
### A month, from files to sealed snapshots

`wait for the folder → stage → load → validate → snapshot (per table) → gate → seal → upsert live`

The run is for the month that ends with its data interval, or on the date in the param **as_of**. Each table's snapshot
is built in the schema `staging`; nothing reaches live or a snapshot unless all tables pass. A sealed month does not
change unless a person approves it (*Required Actions*), or the param **restate** is on.

* Trigger one month: ▶ with the param `as_of` (*Month end*), or with a logical date: a day in the middle of February
  means January in every time zone.
* Load several: *Backfill* from the first day of the first month to the last day of the last one, with one active run
  at a time, so that no month comes late.
* Correct a sealed month: replace its files, trigger it, and approve the change when the gate asks. With `restate` on,
  it does not ask.

The table `public.deliveries` shows what was loaded, and what it changed.

This is StreamFlow's package {__version__}; `public.deliveries.package_version` names the one that sealed a month.
"""

CHECK_MONTH = (
    "Finds the month that the run is for. Rejects dates that are not a month end, in the future, or before the first "
    "month."
)
PREPARE = (
    "Installs the schema if the database does not have this version of it (`include/sql/schema.sql`), and claims the "
    "month for this run. Another run of the same month, if any, stops at its next step."
)
WAIT_FOR_MONTH = (
    "Passes when the files of all the month's tables are in its folder (`users.csv` or `users.csv.gz`), not empty, and "
    "not modified for the settle time. The log says which files are missing."
)
STAGE = (
    "Creates the table's empty, unlogged staging table for the month. In months before the table's first one "
    "(`since` in its `table.yaml`) the table is skipped."
)
LOAD = (
    "Copies the CSV file, plain or compressed, into the staging table, whose columns follow the file's header. The "
    "file is only read."
)
VALIDATE = (
    "Checks every staged row against the table's suite in `include/tables/<table>/`. A broken critical rule fails the "
    "task. The log names the lines, users, and values of a few rows, and the page with all results. Correct the file "
    f"and {RUN_AGAIN}."
)
SNAPSHOT = (
    "Builds the table's snapshot in the schema `staging`: the delivered rows, and the rows carried forward from the "
    "previous snapshot. Lists the rows of sealed months that would change, if any. XCom: the counts."
)
GATE = (
    "Audits the builds: all tables are valid, and every row has its user. If a sealed snapshot would change and "
    "`restate` is off, a person is asked (*Required Actions*). If another run has sealed a month since, the snapshots "
    "are built again first."
)
SEAL = (
    "Publishes the builds in one short transaction: attaches them as the month's snapshots, applies the changes to "
    "sealed months, and writes the ledger. XCom: what was sealed."
)
UPSERT = (
    "Brings the live table to the newest sealed snapshot: inserts new users, updates changed rows, deletes users who "
    "are gone, leaves identical rows alone. XCom: the counts."
)
DROP_STAGING = (
    "Drops the run's staging tables and builds. Those of a failed run stay for inspection until its next attempt. If "
    "another run has sealed a month between two upserts, all live tables are brought to that month first."
)

VERIFY_DAG = f"""
### Do the snapshots match the ledger, and live the newest snapshot?

Recomputes the row counts and checksums of every snapshot and compares them with the ledger, and compares live with the
newest snapshot. Compares the files of the archive with their record. It is read-only. Fails with a list of the
differences. By hand: `make verify`.

This is StreamFlow's package {__version__}.
"""
VERIFY = (
    "Compares snapshots with the ledger, live with the newest snapshot, and the archive's files with their record. "
    "Fails and names every difference."
)

TRAINING_DAG = f"""
### A training set for each sealed month

Runs when a month was sealed or changed (asset `sealed_month`). It builds the training set whose **labels** are of that
month, with the features of `horizon` months before. A month that was sealed late may complete two sets: the other has
the **features** of that month, and its labels were sealed first. No row depends on a later delivery. The file is
Parquet, and `public.training_sets` records the set.

By hand: ▶ with the param `label_as_of`, or `make training-set`. The rules: `docs/training.md`.

This is StreamFlow's package {__version__}.
"""
TRAINING_SET = (
    "Writes the training set whose labels are of the run's month, and, if a later month was sealed first, the one "
    "whose features are of it. Names the sets that are out of date after a restatement. Skipped if there is no set to "
    "write, because the other month is not sealed. XCom: the counts, the file, and its hash, per set."
)

ARCHIVE_DAG = f"""
### Sealed months as Parquet files

Runs when a month was sealed or changed (asset `sealed_month`). Each snapshot that is not archived yet is written to a
Parquet file, which is read back and compared with the ledger before it counts (`public.archives`). A restatement writes
the next revision and leaves the old one.

With the setting `keep_months`, months that are older than the newest ones are then dropped from the database. The view
`sealed_months` says where each month is; `make restore MONTH=2024-01-31` brings one back.

By hand: ▶, or `make archive`. More: `docs/archive.md`.

This is StreamFlow's package {__version__}.
"""
ARCHIVE = (
    "Archives the newest revision of each sealed snapshot whose file is missing: writes it, reads it back, compares it "
    "with the ledger, and records it. XCom: the files and their hashes."
)
RETENTION = (
    "Reads the months that are older than the newest `keep_months` ones back from the archive again, and drops them "
    "from the database. Skipped without that setting. XCom: the months."
)

ERASE_DAG = f"""
### Erase users

`plan → approve → erase`. Removes the users in the param **user_ids** from live, every sealed month, and staging, and
from what the package has written elsewhere. Deliveries leave them out from then on. Nothing is removed before a person
has approved the plan (*Required Actions*); it cannot be undone.

Airflow keeps the params of a run: name a file in the deliveries' folder rather than the ids themselves. By hand:
`make erase`. What it reaches and what it does not: `docs/erasure.md`.

This is StreamFlow's package {__version__}.
"""
ERASE_PLAN = "Counts what would be removed, per month and table. Read-only. XCom: numbers only."
ERASE_APPROVE = "Asks a person (*Required Actions*). A rejection fails the run, and nothing is erased."
ERASE = (
    "Erases the users, one transaction per month, oldest first; if it is interrupted, it goes on where it was. Then "
    "deletes the reports, XComs, and training sets that named them, and lists the logs and delivered files that still "
    "do. XCom: numbers and file names."
)
