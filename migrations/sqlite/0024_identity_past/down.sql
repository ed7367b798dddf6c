DROP INDEX identity_suggestion_into;
ALTER TABLE identity_account DROP COLUMN linked;
ALTER TABLE identity_account DROP COLUMN departed;
DROP TABLE identity_past;
