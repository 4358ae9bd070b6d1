"""No row of a training set depends on a delivery that came later than it may."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from streamflow.features import FEATURES, LABEL
from streamflow.tables import ROOT, tables_of
from support import oracle
from support.database import Refused
from support.histories import MONTHS, SEQUENCES, as_files, deliveries
from support.training import counts, training_set

HISTORIES = st.lists(st.tuples(st.sampled_from(MONTHS), st.integers(0, 2)), min_size=2, max_size=6)
Set = tuple[list[tuple], tuple[int, ...]]  # rows as text, sorted; eligible, positive, negative, unknown


def expected(accepted: oracle.Accepted, as_of: str, label_as_of: str) -> Set:
    """A training set by the rules of docs/training.md, from the deliveries up to as_of, and the one of the labels."""
    known = {month: files for month, files in accepted.items() if month <= as_of}
    label = accepted[label_as_of][LABEL.table.name].set_index("user_id")[LABEL.name].dropna()
    users = set(accepted[as_of][ROOT.name]["user_id"])
    if as_of < label_as_of and LABEL.table.name in known[min(known)]:
        before = oracle.state(known, LABEL.table, as_of)[LABEL.name]
        users -= set(before[before == "true"].index)
    in_set = sorted(users & set(label.index))
    states = {table.name: oracle.state(known, table, as_of).reindex(in_set) for table in tables_of(as_of).values()}
    nothing = pd.Series(None, in_set, dtype=object)  # of a table that there is not yet
    columns = [states[one.table.name][one.column.name] if one.table.name in states else nothing for one in FEATURES]
    rows = pd.concat([*columns, label[in_set]], axis=1).astype(object)
    rows = rows.where(rows.notna(), None)
    positive = int((label[in_set] == "true").sum())
    return (
        sorted(rows.itertuples(name=None), key=repr),
        (len(users), positive, len(in_set) - positive, len(users) - len(in_set)),
    )


@settings(
    max_examples=max(SEQUENCES // 2, 1),
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
)
@given(offered=st.lists(deliveries(), min_size=3, max_size=3), history=HISTORIES)
def test_a_set_is_the_same_whatever_is_delivered_for_later_months(fresh_database, offered, history):
    """All sets, after each month: late, restated, or repeated; with rows carried forward, and users who come and go."""
    database = fresh_database()
    accepted: oracle.Accepted = {}
    before: dict[tuple[str, str], Set] = {}
    for month, which in history:
        files = offered[(which + MONTHS.index(month)) % len(offered)]
        try:
            database.load_month(month, as_files(files), restate=True)
        except Refused:  # rows without a user
            continue
        accepted |= {month: {name: files[name] for name in tables_of(month)}}
        found: dict[tuple[str, str], Set] = {}
        for as_of, label_as_of in combinations_with_replacement(sorted(accepted), 2):
            if LABEL.table.is_delivered(label_as_of):
                horizon = MONTHS.index(label_as_of) - MONTHS.index(as_of)
                found[as_of, label_as_of] = training_set(database, as_of, horizon), counts(database, as_of, horizon)
        for months, one in found.items():
            assert one == expected(accepted, *months), months
            if months in before and month > max(months):
                assert one == before[months], months
        before = found
