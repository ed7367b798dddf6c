DROP TABLE ssf_removed_subject;
DROP TABLE ssf_stream;
DROP TABLE signing_key;
