DROP TABLE request_record;
