-- What stretches of 1,024 rows have, by where they belong: rows are searched through it, so that what cannot have a row is not read. `traits` has a bit for
-- each kind and verdict (cp/src/store/audit/zones.rs); times are those of the oldest and the newest row. Empty slugs are those of rows without any.
CREATE TABLE audit_zones (
    org_id      TEXT NOT NULL REFERENCES orgs (org_id),
    zone        INTEGER NOT NULL,
    workspace   TEXT NOT NULL,
    environment TEXT NOT NULL,
    traits      INTEGER NOT NULL,
    first_time  INTEGER NOT NULL,
    last_time   INTEGER NOT NULL,
    PRIMARY KEY (org_id, zone, workspace, environment)
) STRICT, WITHOUT ROWID;

INSERT INTO audit_zones (org_id, zone, workspace, environment, traits, first_time, last_time)
SELECT org_id, (seq - 1) / 1024, coalesce(workspace, ''), coalesce(environment, ''),
    max(CASE kind WHEN 'decision' THEN 1 ELSE 0 END) + max(CASE kind WHEN 'outcome' THEN 2 ELSE 0 END)
    + max(CASE kind WHEN 'lifecycle' THEN 4 ELSE 0 END) + max(CASE kind WHEN 'approval' THEN 8 ELSE 0 END)
    + max(CASE kind WHEN 'gap' THEN 16 ELSE 0 END) + max(CASE kind WHEN 'checkpoint' THEN 32 ELSE 0 END)
    + max(CASE kind WHEN 'operator' THEN 64 ELSE 0 END) + max(CASE kind WHEN 'hole' THEN 128 ELSE 0 END)
    + max(CASE verdict WHEN 'permit' THEN 256 ELSE 0 END)
    + max(CASE verdict WHEN 'permit_with_obligations' THEN 512 ELSE 0 END)
    + max(CASE verdict WHEN 'deny' THEN 1024 ELSE 0 END),
    min(time), max(time)
FROM audit_rows GROUP BY 1, 2, 3, 4;

CREATE INDEX audit_zones_place ON audit_zones (org_id, workspace, environment, zone);

-- Each cost every row an entry.
DROP INDEX audit_rows_scope;
DROP INDEX audit_rows_time;

-- The sums of usage_hours over all callers: there are many, and most questions are not about them.
CREATE TABLE usage_tools (
    org_id      TEXT NOT NULL REFERENCES orgs (org_id),
    hour        INTEGER NOT NULL,
    workspace   TEXT NOT NULL,
    environment TEXT NOT NULL,
    tool        TEXT NOT NULL,
    calls       INTEGER NOT NULL,
    denied      INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    PRIMARY KEY (org_id, hour, workspace, environment, tool)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_tools (org_id, hour, workspace, environment, tool, calls, denied, failed, bytes, duration_us)
SELECT org_id, hour, workspace, environment, tool, sum(calls), sum(denied), sum(failed), sum(bytes), sum(duration_us)
FROM usage_hours GROUP BY 1, 2, 3, 4, 5;
