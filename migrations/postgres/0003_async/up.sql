-- Requests that are answered before they are done (RFC 7240 respond-async). What was accepted is done
-- whatever happens to the process; lease says until when its runner is believed to be at it.
CREATE TABLE async_request (
    directory_key BIGINT NOT NULL REFERENCES directory (key),
    id            TEXT   NOT NULL,
    form          TEXT   NOT NULL,
    base          TEXT   NOT NULL,
    body          TEXT   NOT NULL,
    ids           TEXT   NOT NULL,
    runner        TEXT   NOT NULL,
    lease         BIGINT NOT NULL,
    created       BIGINT NOT NULL,
    finished      BIGINT,
    PRIMARY KEY (directory_key, id)
);
CREATE INDEX async_request_lease ON async_request (lease) WHERE finished IS NULL;
CREATE INDEX async_request_finished ON async_request (finished) WHERE finished IS NOT NULL;

CREATE TABLE async_result (
    directory_key BIGINT  NOT NULL,
    request_id    TEXT    NOT NULL,
    operation     INTEGER NOT NULL,
    outcome       TEXT    NOT NULL,
    PRIMARY KEY (directory_key, request_id, operation)
);
