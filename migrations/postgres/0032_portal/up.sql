-- Directories that a visitor of a setup link has stopped, or that are being disconnected: what the operator
-- has stopped no visitor starts again. made_by is the setup link or the API key. A disconnection takes access
-- away from one user after the other; reached is the key of the last one.
CREATE TABLE directory_stop (
    directory_key BIGINT NOT NULL PRIMARY KEY REFERENCES directory (key) ON DELETE CASCADE,
    choice        TEXT COLLATE "C" NOT NULL,
    made_by       TEXT COLLATE "C" NOT NULL,
    reached       BIGINT NOT NULL DEFAULT 0,
    created       BIGINT NOT NULL
);
