-- Nothing here: on SQLite request records are in a file of their own, requests.db, so that writing
-- them never waits for the one writer of this file. See migrations/requests.
SELECT 1;
