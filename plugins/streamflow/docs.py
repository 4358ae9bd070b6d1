"""What the UI shows about the DAG and its tasks."""

from streamflow.refusal import RUN_AGAIN

DAG = """
### A month, from files to sealed snapshots

`wait for the folder → stage → load → validate → snapshot (per table) → gate → seal → upsert live`

The run is for the month that ends with its data interval, or on the param **as_of**. Each table's snapshot is built in
the schema `staging`; nothing reaches live or a snapshot unless all tables pass. A month that is sealed stays as it is
unless the run says **restate**.

* Trigger one month: ▶ with the param `as_of` (*Month end*), or with a logical date: a day in the middle of February
  means January in every time zone.
* Load several: *Backfill* from the first day of the first month to the last day of the last one, with one active run
  at a time, so that no month comes late.
* Correct a sealed month: replace its files, trigger it with `restate` on.

What was loaded, and what it did: table `public.deliveries`.
"""

CHECK_MONTH = (
    "Which month is this run for? Rejects dates that are not a month end, in the future or before the first month."
)
PREPARE = (
    "Creates the tables and functions if they are not there (`include/sql/schema.sql`), and claims the month for this "
    "run: another run of the same month, still under way, stops at its next step."
)
WAIT_FOR_MONTH = (
    "Passes when all files of the month are in its folder, not empty, and not written to for the settle time. "
    "The log says what it still waits for."
)
STAGE = "Creates the table's empty, unlogged staging table for the month."
LOAD = "Copies the CSV file into the staging table, whose columns follow the file's header. The file is only read."
VALIDATE = (
    "Checks every staged row against the table's suite in `include/tables/<table>/`. A broken rule fails the task. The "
    "log names the lines, users and values of a few rows, and the page with all results. Correct the file and "
    f"{RUN_AGAIN}."
)
SNAPSHOT = (
    "Builds the table's snapshot in the schema `staging`: what was delivered, and the earlier snapshot's rows whose "
    "users were not. If later months are sealed, also the list of their rows that would change. XCom: the counts."
)
GATE = (
    "Audits the builds, read-only: all tables are valid, every row has its user, and no sealed snapshot would change "
    "(or the run's param `restate` allows it). Builds that another run's seal has overtaken are left to `seal`, which "
    "builds and audits them again."
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
    "Drops what the run has staged and built. That of a failed run stays for inspection until its next try. If another "
    "run has sealed a month while this one brought live along, all live tables are brought to that month first."
)

VERIFY_DAG = """
### Is everything as it was sealed?

Recomputes the row counts and checksums of every snapshot and compares them with the ledger, and live with the
newest snapshot. It only reads. Fails with a list of the differences. By hand: `make verify`.
"""
VERIFY = "Compares snapshots with the ledger and live with the newest snapshot; fails and names every difference."
