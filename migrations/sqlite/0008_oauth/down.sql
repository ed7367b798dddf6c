DROP TABLE oauth_jti;
DROP TABLE oauth_client;
