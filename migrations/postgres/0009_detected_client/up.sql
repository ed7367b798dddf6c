-- Which client was seen at a directory. evidence is a JSON array of texts, confidence 1 to 3.
CREATE TABLE directory_client (
    directory_key BIGINT  NOT NULL PRIMARY KEY REFERENCES directory (key),
    provider      TEXT    NOT NULL,
    evidence      TEXT    NOT NULL,
    confidence    INTEGER NOT NULL,
    first_seen    BIGINT  NOT NULL,
    last_seen     BIGINT  NOT NULL
);
