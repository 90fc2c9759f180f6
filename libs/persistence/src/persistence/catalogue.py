"""What the database's own catalogue says about isolation: every gap by name. For tests and for operators."""

import psycopg

from persistence import roles

SCHEMAS = [*roles.WRITER_OF, "app"]

_UNPROTECTED = """
SELECT format('table %%s has user_id but no forced row-level security', c.oid::regclass)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
WHERE c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND c.relkind IN ('r', 'p')
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
"""
_WITHOUT_POLICY = """
SELECT DISTINCT format('role %%s may use %%s but no policy is for it', g.grantee, c.oid::regclass)
FROM pg_class c
JOIN information_schema.role_table_grants g
  ON g.table_schema = c.relnamespace::regnamespace::text AND g.table_name = c.relname
WHERE c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND c.relrowsecurity AND g.grantee = ANY(%(logins)s)
  AND NOT EXISTS (
    SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND g.grantee::regrole::oid = ANY(p.polroles))
"""
_PUBLIC_POLICY = """
SELECT format('policy %%s on %%s is for everybody', p.polname, p.polrelid::regclass)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND 0 = ANY(p.polroles)
"""
_VIEWS = """
SELECT format('view %%s does not run as its caller', c.oid::regclass)
FROM pg_class c
WHERE c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND c.relkind = 'v'
  AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], false)
"""
_DEFINERS = """
SELECT format('function %%s runs as its owner', p.oid::regprocedure)
FROM pg_proc p WHERE p.pronamespace::regnamespace::text = ANY(%(schemas)s) AND p.prosecdef
"""
_OWNED = """
SELECT format('%%s belongs to %%s', c.oid::regclass, pg_get_userbyid(c.relowner))
FROM pg_class c
WHERE c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND pg_get_userbyid(c.relowner) <> %(owner)s
"""
_TRUNCATE = """
SELECT format('role %%s may truncate %%s', role, c.oid::regclass)
FROM pg_class c CROSS JOIN unnest(%(logins)s::text[]) AS role
WHERE c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND c.relkind IN ('r', 'p')
  AND has_table_privilege(role, c.oid, 'TRUNCATE')
"""
_FOREIGN_WRITES = """
SELECT DISTINCT format('role %%s may write %%s', g.grantee, g.table_schema || '.' || g.table_name)
FROM information_schema.role_table_grants g
WHERE g.table_schema = %(schema)s AND g.grantee = ANY(%(logins)s) AND g.grantee <> %(writer)s
  AND g.privilege_type IN ('INSERT', 'UPDATE', 'DELETE')
"""
_EVERYWHERE = (_UNPROTECTED, _WITHOUT_POLICY, _PUBLIC_POLICY, _VIEWS, _DEFINERS, _OWNED, _TRUNCATE)


def gaps(admin_url: str) -> list[str]:
    """Every table, view, function, policy or grant that lets a role see or do more than the house rules say.

    Args:
        admin_url: of the migrated database.
    """
    found: list[str] = []
    known = {"schemas": SCHEMAS, "logins": list(roles.LOGINS), "owner": roles.OWNER}
    with psycopg.connect(admin_url) as admin:
        for query in _EVERYWHERE:
            found += [row[0] for row in admin.execute(query, known).fetchall()]
        for schema, writer in roles.WRITER_OF.items():
            more = {**known, "schema": schema, "writer": writer}
            found += [row[0] for row in admin.execute(_FOREIGN_WRITES, more).fetchall()]
    return sorted(found)
