DROP TABLE directory_stop;
