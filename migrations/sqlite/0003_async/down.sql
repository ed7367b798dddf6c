DROP TABLE async_result;
DROP TABLE async_request;
