DROP TABLE sync_digest;
DROP TABLE sync_file;
DROP TABLE sync_change;
DROP TABLE sync_run;
DROP TABLE sync_directory;
