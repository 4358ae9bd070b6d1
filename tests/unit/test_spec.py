"""What a table's folder must have in it."""

from __future__ import annotations

import pytest

from streamflow.spec import TablesError
from streamflow.tables import read_tables


def test_a_folder_without_a_table_is_told(folder):
    (folder / "devices").mkdir()
    with pytest.raises(TablesError, match=r"devices/table\.yaml:\nExpected the table's definition\.\nFound no file"):
        read_tables(folder)
