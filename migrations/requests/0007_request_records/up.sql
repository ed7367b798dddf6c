-- What SCIM clients sent and what came of it. Ids begin with their time. What a record says is sealed;
-- in clear are the parts that are searched by, and user_keys: keyed hashes of who it is about.
CREATE TABLE request_record (
    directory_key BIGINT  NOT NULL,
    id            TEXT    NOT NULL,
    method        TEXT    NOT NULL,
    status        INTEGER NOT NULL,
    user_keys     TEXT    NOT NULL,
    sealed        TEXT    NOT NULL,
    PRIMARY KEY (directory_key, id)
);
