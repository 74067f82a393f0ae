"""Every column of the enhanced table is explained, and none that is not there."""

from lo2dask import schema
from lo2dask.features.glossary import COLUMNS
from lo2dask.features.textpass import BAGS, bags_schema


def test_the_glossary_names_the_columns_of_the_table() -> None:
    assert set(schema.ENHANCED.names) <= set(COLUMNS)
    tables = [
        schema.TokenKinds.of(tokens).enhanced(lists) for tokens in ("masked", "raw", "both") for lists in (False, True)
    ]
    assert set(COLUMNS) == {name for table in tables for name in table.names}


def test_every_column_has_a_meaning_and_numbers_a_unit() -> None:
    for name, column in COLUMNS.items():
        assert column.meaning, name
        field = schema.TokenKinds.of("both").enhanced().field(name)
        is_number = str(field.type) in ("int32", "int64", "double")
        assert bool(column.unit) or not is_number, name


def test_raw_bags_are_added_where_both_are_asked_for() -> None:
    masked, raw, both = (bags_schema(schema.TokenKinds.of(tokens)).names for tokens in ("masked", "raw", "both"))
    assert masked == raw == BAGS.names
    assert both == [*BAGS.names, "e_words_raw", "e_trigrams_raw"]
