-- A change of more members than one unit takes: a group with a row here is being changed, or, with ending,
-- deleted. What is left to do are the parts, by number; the unit that does a part removes it. member_keys is
-- a JSON array.
CREATE TABLE member_intent (
    directory_key BIGINT  NOT NULL,
    group_key     BIGINT  NOT NULL,
    ending        BOOLEAN NOT NULL,
    created       BIGINT  NOT NULL,
    PRIMARY KEY (directory_key, group_key),
    FOREIGN KEY (directory_key, group_key) REFERENCES resource (directory_key, key)
);

CREATE TABLE member_intent_part (
    directory_key BIGINT  NOT NULL,
    group_key     BIGINT  NOT NULL,
    part          INTEGER NOT NULL,
    joins         BOOLEAN NOT NULL,
    member_keys   TEXT    NOT NULL,
    PRIMARY KEY (directory_key, group_key, part),
    FOREIGN KEY (directory_key, group_key) REFERENCES member_intent (directory_key, group_key)
);
