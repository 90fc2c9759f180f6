"""Row-level security: the statements that make a table show each user their own rows only.

FORCE, because an owner is exempt otherwise; roles by name, because a policy TO PUBLIC also binds roles nobody
thought of; the sub-select, because it is evaluated once per statement and leaves the index usable.
"""

import re

UID_FUNCTION = """
CREATE OR REPLACE FUNCTION app.uid() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.user_id', true), '') $$
"""
MINE = "user_id = (SELECT app.uid())"
_TABLE = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def own_rows(table: str, user_role: str | None, worker_role: str | None) -> str:
    """The statements that put a table with a `user_id` column under row-level security.

    Args:
        table: qualified name (`portfolio.positions`).
        user_role: sees and writes the rows of the transaction's user only (no user: no rows). Its grants still
            decide which verbs it has.
        worker_role: sees and writes all rows; None for a table that no worker touches.
    """
    name = identifier(table, _TABLE)
    statements = [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
    ]
    if user_role:
        role = identifier(user_role)
        statements.append(f"CREATE POLICY own ON {name} FOR ALL TO {role} USING ({MINE}) WITH CHECK ({MINE})")
    if worker_role:
        role = identifier(worker_role)
        statements.append(f"CREATE POLICY worker ON {name} FOR ALL TO {role} USING (true) WITH CHECK (true)")
    return ";\n".join(statements) + ";\n"


def identifier(name: str, pattern: re.Pattern[str] = _NAME) -> str:
    """The name, if it can stand in a statement as it is.

    Raises:
        ValueError: it cannot.
    """
    if not pattern.fullmatch(name):
        raise ValueError(f"not a plain SQL name: {name[:80]!r}")
    return name
