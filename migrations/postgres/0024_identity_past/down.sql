ALTER TABLE identity_move ADD CONSTRAINT identity_move_directory_key_fkey
    FOREIGN KEY (directory_key) REFERENCES directory (key);
ALTER TABLE identity_suggestion ADD CONSTRAINT identity_suggestion_directory_key_fkey
    FOREIGN KEY (directory_key) REFERENCES directory (key);
DROP INDEX identity_suggestion_into;
ALTER TABLE identity_account DROP COLUMN linked;
ALTER TABLE identity_account DROP COLUMN departed;
DROP TABLE identity_past;
