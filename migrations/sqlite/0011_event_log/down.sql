DROP TABLE consumer;
DROP TABLE directory_past;
DROP INDEX event_directory;
DROP VIEW event_sequencer;
DROP VIEW event_position;
