-- Numbers of the whole installation, as they were in a minute and in an hour. span is the length of the
-- stretch and at its beginning, both in milliseconds. What is counted is added up by every process; what
-- is looked up is written by one of them.
CREATE TABLE sample (
    span   BIGINT NOT NULL,
    series TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL,
    value  BIGINT NOT NULL,
    PRIMARY KEY (span, series, at)
);
CREATE INDEX sample_at ON sample (span, at);

-- Who watches a run knows its id alone.
CREATE INDEX sync_run_id ON sync_run (id);
