DROP TABLE webhook_replay;
DROP TABLE webhook_parked;
DROP TABLE webhook_attempt;
DROP TABLE webhook_endpoint;
