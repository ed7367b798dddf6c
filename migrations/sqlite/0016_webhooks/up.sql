-- Where events are sent. scope lists the organizations whose events count, sorted, with commas; empty
-- for all. One row says how far an endpoint has got; whoever holds the lease delivers.
CREATE TABLE webhook_endpoint (
    id              TEXT    NOT NULL PRIMARY KEY,
    scope           TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    events          TEXT    NOT NULL,
    -- Sealed. Both sign while previous_until has not come.
    secret          TEXT    NOT NULL,
    previous_secret TEXT,
    previous_until  BIGINT,
    -- enabled, paused or disabled; since when, and why: operator, failing, gone.
    state           TEXT    NOT NULL,
    state_since     BIGINT  NOT NULL,
    state_reason    TEXT,
    -- Rises with every change by an operator.
    version         BIGINT  NOT NULL,
    -- Everything up to here is delivered or parked.
    position        BIGINT  NOT NULL,
    -- Positions that were removed from the log before they were delivered.
    missed          BIGINT  NOT NULL,
    -- Of the event behind the position: attempts that failed, and the time of the first.
    attempts        BIGINT  NOT NULL,
    head_since      BIGINT,
    -- Since when every attempt has failed.
    failing_since   BIGINT,
    last_success    BIGINT,
    next_at         BIGINT  NOT NULL,
    runner          TEXT    NOT NULL,
    lease           BIGINT  NOT NULL,
    created         BIGINT  NOT NULL,
    modified        BIGINT  NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX webhook_endpoint_url ON webhook_endpoint (scope, url);

-- The last attempts, bounded by number and age. detail is sealed: the error and the first bytes of the
-- answer.
CREATE TABLE webhook_attempt (
    endpoint_id TEXT    NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
    id          TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    replay_id   TEXT,
    attempt     BIGINT  NOT NULL,
    at          BIGINT  NOT NULL,
    duration_ms BIGINT  NOT NULL,
    status      INTEGER,
    outcome     TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (endpoint_id, id)
) WITHOUT ROWID;
CREATE INDEX webhook_attempt_at ON webhook_attempt (at);

-- Events that an endpoint refused until it was passed over them.
CREATE TABLE webhook_parked (
    endpoint_id TEXT    NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
    position    BIGINT  NOT NULL,
    event_id    TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    attempts    BIGINT  NOT NULL,
    status      INTEGER,
    since       BIGINT  NOT NULL,
    parked      BIGINT  NOT NULL,
    PRIMARY KEY (endpoint_id, position)
) WITHOUT ROWID;

-- Stretches of the log that are sent to an endpoint once more, beside what is new.
CREATE TABLE webhook_replay (
    endpoint_id TEXT    NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
    id          TEXT    NOT NULL,
    -- Everything up to here has been sent; until is the last position.
    position    BIGINT  NOT NULL,
    until       BIGINT  NOT NULL,
    -- Only events made in this time.
    range_start BIGINT,
    range_end   BIGINT,
    only_parked BOOLEAN NOT NULL,
    attempts    BIGINT  NOT NULL,
    next_at     BIGINT  NOT NULL,
    created     BIGINT  NOT NULL,
    PRIMARY KEY (endpoint_id, id)
) WITHOUT ROWID;
