DROP TABLE consumer;
DROP TABLE directory_past;
DROP TABLE event_sequencer;
DROP TABLE event_position;
ALTER TABLE event DROP CONSTRAINT event_pkey;
ALTER TABLE event ADD PRIMARY KEY (directory_key, key);
