-- Where Security Event Tokens go. scope lists the organizations whose events count, sorted, with commas;
-- empty for all. No token is stored: they are made of the event log behind position.
CREATE TABLE ssf_stream (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    scope          TEXT COLLATE "C" NOT NULL,
    description    TEXT,
    -- push (RFC 8935) or poll (RFC 8936).
    method         TEXT    NOT NULL,
    endpoint_url   TEXT COLLATE "C",
    -- Sealed.
    authorization_header TEXT,
    -- JSON array of URIs; without it the default.
    events         TEXT,
    subject_format TEXT    NOT NULL,
    -- enabled, paused or disabled; since when, and why: operator or failing, and what was said about it.
    status         TEXT    NOT NULL,
    status_since   BIGINT  NOT NULL,
    status_cause   TEXT,
    status_reason  TEXT,
    -- Rises with every change by an operator.
    version        BIGINT  NOT NULL,
    -- Every token of events up to here is acknowledged; acked names those beyond it that are, as JSON.
    position       BIGINT  NOT NULL,
    acked          TEXT    NOT NULL,
    -- Positions that were removed from the log before they were acknowledged.
    missed         BIGINT  NOT NULL,
    -- Tokens that the receiver has refused for good, and the last one (sealed).
    refused        BIGINT  NOT NULL,
    last_refusal   TEXT,
    -- The token that failed last, how often, and how often of that its receiver called it invalid.
    head           TEXT    NOT NULL,
    attempts       BIGINT  NOT NULL,
    refusals       BIGINT  NOT NULL,
    failing_since  BIGINT,
    last_success   BIGINT,
    next_at        BIGINT  NOT NULL,
    -- A verification that was asked for and not delivered yet (JSON), and when one was asked for last.
    verification   TEXT,
    verified_at    BIGINT,
    runner         TEXT COLLATE "C" NOT NULL,
    lease          BIGINT  NOT NULL,
    -- When a runner has taken it last.
    served         BIGINT  NOT NULL,
    created        BIGINT  NOT NULL,
    modified       BIGINT  NOT NULL
);

-- Subjects that a receiver has taken out of its stream.
CREATE TABLE ssf_removed_subject (
    stream_id TEXT COLLATE "C" NOT NULL REFERENCES ssf_stream (id) ON DELETE CASCADE,
    subject   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (stream_id, subject)
);

-- Keys that sign tokens. Each is published before it signs, and for a while afterwards.
CREATE TABLE signing_key (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- Sealed.
    private     TEXT    NOT NULL,
    -- JSON Web Key.
    public      TEXT    NOT NULL,
    active_from BIGINT  NOT NULL,
    retire_at   BIGINT,
    created     BIGINT  NOT NULL
);
