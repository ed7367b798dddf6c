-- Whether the filter of a directory that is pushed keeps a user from the app.
ALTER TABLE resource ADD COLUMN excluded BOOLEAN NOT NULL DEFAULT FALSE;
