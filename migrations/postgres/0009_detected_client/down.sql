DROP TABLE directory_client;
