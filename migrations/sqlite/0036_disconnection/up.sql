-- Directories that are being disconnected, or whose disconnection was called off. mode: deprovision or
-- hand_over; into_key: the directory that takes the users over. state: running, stopped because of problem,
-- called_off, done. step and reached: how far it is. total, done and failed count users, and groups where those go
-- along; faults is a JSON array of the first who failed, with why.
CREATE TABLE disconnection (
    directory_key BIGINT NOT NULL PRIMARY KEY REFERENCES directory (key) ON DELETE CASCADE,
    mode          TEXT NOT NULL,
    into_key      BIGINT,
    state         TEXT NOT NULL,
    made_by       TEXT NOT NULL,
    step          TEXT NOT NULL,
    reached       BIGINT NOT NULL,
    total         BIGINT NOT NULL,
    done          BIGINT NOT NULL,
    failed        BIGINT NOT NULL,
    faults        TEXT   NOT NULL,
    problem       TEXT,
    created       BIGINT NOT NULL,
    modified      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX disconnection_state ON disconnection (state, directory_key);
INSERT INTO disconnection (directory_key, mode, state, made_by, step, reached, total, done, failed, faults,
    created, modified)
    SELECT directory_key, 'deprovision', 'running', made_by, 'users', reached, 0, 0, 0, '[]', created, created
    FROM directory_stop WHERE choice = 'deprovision';

-- Users and groups that another directory has handed over to one that is read, until a complete run has said
-- which of them the source has: those it recognises by name, too.
CREATE TABLE handed_over (
    directory_key BIGINT NOT NULL,
    resource_key  BIGINT NOT NULL,
    PRIMARY KEY (directory_key, resource_key)
) WITHOUT ROWID;
