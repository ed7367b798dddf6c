-- A directory that is read. config and cursor are sealed. next_at: when it is read next, null for on
-- request only. full_at: when it was last read completely. failures: runs that have failed one after
-- another. Whoever has the lease reads.
CREATE TABLE sync_directory (
    directory_key BIGINT  NOT NULL PRIMARY KEY REFERENCES directory (key),
    config        TEXT    NOT NULL,
    cursor        TEXT,
    next_at       BIGINT,
    full_at       BIGINT,
    failures      BIGINT  NOT NULL,
    activated     BOOLEAN NOT NULL,
    last_sync     BIGINT,
    last_counts   TEXT,
    last_error    TEXT,
    runner        TEXT    NOT NULL,
    lease         BIGINT  NOT NULL
) WITHOUT ROWID;
CREATE INDEX sync_directory_due ON sync_directory (next_at) WHERE next_at IS NOT NULL;

-- status: pending, running, completed, failed, held, approved, rejected, cancelled. mode: full or
-- incremental; auto while nobody knows. counts, progress and held are JSON.
CREATE TABLE sync_run (
    directory_key BIGINT  NOT NULL REFERENCES directory (key),
    id            TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    mode          TEXT    NOT NULL,
    dry_run       BOOLEAN NOT NULL,
    cause         TEXT    NOT NULL,
    created       BIGINT  NOT NULL,
    started       BIGINT,
    finished      BIGINT,
    counts        TEXT    NOT NULL,
    progress      TEXT,
    held          TEXT,
    error         TEXT,
    -- Of a dry run by other settings than those in force.
    settings      TEXT,
    PRIMARY KEY (directory_key, id)
) WITHOUT ROWID;
CREATE INDEX sync_run_open ON sync_run (directory_key, id)
    WHERE status IN ('pending', 'running', 'approved');
CREATE INDEX sync_run_created ON sync_run (created);

-- What a run has done, would do or waits to do; data is sealed.
CREATE TABLE sync_change (
    directory_key BIGINT NOT NULL,
    run_id        TEXT   NOT NULL,
    number        BIGINT NOT NULL,
    data          TEXT   NOT NULL,
    PRIMARY KEY (directory_key, run_id, number)
) WITHOUT ROWID;

-- Files that were handed in; data is sealed.
CREATE TABLE sync_file (
    directory_key BIGINT NOT NULL,
    name          TEXT   NOT NULL,
    part          BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    uploaded      BIGINT NOT NULL,
    data          TEXT   NOT NULL,
    PRIMARY KEY (directory_key, name, part)
);

-- What a resource was made of, to know that nothing has changed without reading it.
CREATE TABLE sync_digest (
    directory_key BIGINT NOT NULL,
    resource_key  BIGINT NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (directory_key, resource_key)
) WITHOUT ROWID;
