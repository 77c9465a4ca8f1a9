"""Tables as Markdown, for files that people read and repositories show."""

import pandas as pd


def markdown_table(table):
    """A DataFrame without its index as a Markdown table; "" for an empty one.

    Numbers get three decimals, what is missing a dash.
    """
    if table.empty:
        return ""
    rows = [list(table), ["---"] * table.shape[1]]
    rows += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value):
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.3f}"
    return "-" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
