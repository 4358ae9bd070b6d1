"""The deliveries that are made up follow the folders of include/tables/."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from generate_deliveries import generate
from streamflow.tables import TABLES, TABLES_FOLDER
from support.paths import ROOT

pytestmark = pytest.mark.slow

DEVICES = """
about: the devices that each user watches on
refers_to: users
since: 2024-02
columns:
  - {name: device_count, type: integer, about: how many}
  - {name: screen_inches, type: numeric, about: the largest}
  - {name: rating, type: integer, about: what the user thinks of it}
  - {name: is_shared, type: boolean, about: with other users}
  - {name: bought_on, type: date, about: when the first was bought}
  - {name: maker, type: text, about: of the largest}
  - {name: platform, type: text, about: of the largest}
  - {name: nickname, type: text, optional: true, about: of the largest}
  - {name: seen_on, type: date, optional: true, since: 2024-03, about: when it was last used}
"""
RULES = [
    {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "platform", "value_set": ["tv", "phone"]}},
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "rating", "min_value": 20, "strict_min": True}},
    {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "screen_inches", "min_value": 3.5, "max_value": 8},
    },
    {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "bought_on", "min_value": "2023-12-01", "max_value": {"$PARAMETER": "as_of"}},
    },
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """include/tables with a seventh table and one more optional column."""
    folder = shutil.copytree(TABLES_FOLDER, tmp_path_factory.mktemp("own") / "tables")
    (folder / "devices").mkdir()
    (folder / "devices" / "table.yaml").write_text(DEVICES)
    suite = json.loads((folder / "labels" / "expectations.json").read_text())
    suite = {"name": "devices", "expectations": suite["expectations"][:4]}  # what every table has
    suite["expectations"] += [rule | {"severity": "critical"} for rule in RULES]
    (folder / "devices" / "expectations.json").write_text(json.dumps(suite))
    with (folder / "labels" / "table.yaml").open("a") as file:
        file.write("  - {name: churn_score, type: numeric, optional: true, about: more}\n")
    return folder


@pytest.fixture(scope="module")
def own(tables, tmp_path_factory) -> Path:
    """Three months of these tables, from a make of its own."""
    folder = tmp_path_factory.mktemp("deliveries")
    subprocess.run(
        [sys.executable, ROOT / "tools" / "generate_deliveries.py", folder, "--users", "200", "--seed", "5"],
        env=os.environ | {"AIRFLOW__STREAMFLOW__TABLES_FOLDER": str(tables)},
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> Path:
    """The same months of the package's own tables."""
    folder = tmp_path_factory.mktemp("usual")
    generate(folder, users=200, months=3, seed=5)
    return folder


def read(folder: Path, month: int, table: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"month_{month:03d}" / f"{table}.csv")


def test_the_sample_deliveries_are_what_the_generator_writes(tmp_path):
    generate(tmp_path, users=1000, months=3, seed=1)
    for path in sorted(tmp_path.glob("*/*")):
        sample = ROOT / "include" / "data" / path.relative_to(tmp_path)
        assert filecmp.cmp(path, sample, shallow=False), f"{sample}: make sample"


def test_a_table_of_ones_own_comes_with_its_first_month_and_changes_nothing_else(own, usual):
    assert [(own / f"month_{month:03d}" / "devices.csv").exists() for month in range(3)] == [False, True, True]
    for path in usual.glob("*/*.csv"):
        if path.stem != "labels":
            assert filecmp.cmp(path, own / path.relative_to(usual), shallow=False), path
    for month in range(3):
        assert (
            read(own, month, "labels").drop(columns="churn_score", errors="ignore").equals(read(usual, month, "labels"))
        )


def test_an_optional_column_comes_with_the_third_month_or_with_its_own(own):
    assert ["churn_score" in read(own, month, "labels") for month in range(3)] == [False, False, True]
    required = ["user_id", "device_count", "screen_inches", "rating", "is_shared", "bought_on", "maker", "platform"]
    assert [*read(own, 1, "devices")] == required
    assert [*read(own, 2, "devices")] == [*required, "nickname", "seen_on"]


def test_unknown_columns_have_values_of_their_type_that_the_rules_allow(own):
    devices = read(own, 2, "devices")
    assert devices.notna().all(axis=None)
    assert devices.user_id.tolist() == read(own, 2, "users").user_id.tolist()
    assert devices.device_count.dtype == devices.rating.dtype == int
    assert devices.device_count.between(0, 9).all()
    assert devices.rating.between(21, 30).all()
    assert devices.screen_inches.between(3.5, 8).all()
    assert devices.screen_inches.equals(devices.screen_inches.round(2))
    assert devices.is_shared.dtype == bool
    assert devices.bought_on.between("2023-12-01", "2023-12-31").all()
    assert devices.seen_on.between("2023-01-01", "2023-12-31").all()
    assert {*devices.platform} == {"tv", "phone"}
    assert 1 < devices.nickname.nunique() < 10
    assert devices.nickname.tolist() != devices.maker.tolist()


def test_some_of_the_values_change_from_month_to_month(own):
    before, after = (read(own, month, "devices").set_index("user_id").device_count for month in (1, 2))
    changed = (before != after.reindex(before.index)).mean()
    assert 0.1 < changed < 0.5


def test_every_table_is_in_every_month(usual):
    for month in range(3):
        assert {path.stem for path in (usual / f"month_{month:03d}").iterdir()} == {*TABLES}


# with a signal


@pytest.fixture(scope="module")
def with_signal(tmp_path_factory) -> Path:
    """Six months with a signal."""
    folder = tmp_path_factory.mktemp("signal")
    generate(folder, users=4000, months=6, seed=1, signal=True)
    return folder


def by_user(folder: Path, month: int, table: str) -> pd.DataFrame:
    return read(folder, month, table).set_index("user_id")


def test_only_labels_and_hours_differ_from_what_there_is_without_a_signal(with_signal, tmp_path):
    generate(tmp_path, users=4000, months=6, seed=1)
    for month in range(6):
        for table in TABLES.values():
            found, without = by_user(with_signal, month, table.name), by_user(tmp_path, month, table.name)
            differ = [name for name in without if not without[name].equals(found[name])]
            assert without.index.equals(found.index)
            assert differ == {"usage_agg_30d": ["watch_hours_30d"], "labels": ["churn_label"]}.get(table.name, [])


def test_the_same_arguments_give_the_same_files(with_signal, tmp_path):
    generate(tmp_path, users=4000, months=6, seed=1, signal=True)
    for path in with_signal.rglob("*.csv"):
        assert (tmp_path / path.relative_to(with_signal)).read_bytes() == path.read_bytes()


def test_who_has_left_does_not_come_back_and_hardly_watches(with_signal):
    for month in range(1, 6):
        before, after = (by_user(with_signal, number, "labels")["churn_label"] for number in (month - 1, month))
        assert after[after.index.intersection(before[before].index)].all()
        hours = by_user(with_signal, month, "usage_agg_30d")["watch_hours_30d"]
        assert hours[after].mean() < 0.5 * hours[~after].mean()


@pytest.mark.parametrize(
    ("table", "column", "sign"),
    [
        ("payments_agg_90d", "failed_payments_90d", 1),
        ("support_agg_90d", "support_tickets_90d", 1),
        ("usage_agg_30d", "watch_hours_30d", -1),
    ],
)
def test_figures_of_a_month_say_something_about_who_leaves_in_the_next(with_signal, table, column, sign):
    differences = []
    for month in range(5):
        labels, later = (by_user(with_signal, number, "labels")["churn_label"] for number in (month, month + 1))
        here = labels[~labels].index.intersection(later.index)
        values, leaves = by_user(with_signal, month, table)[column][here], later[here]
        differences.append(values[leaves].mean() / values[~leaves].mean() - 1)
    assert min(one * sign for one in differences) > 0.1
