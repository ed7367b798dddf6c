DROP INDEX sync_run_id;
DROP TABLE sample;
