-- A group whose members were looked at in part is to be looked at once more from the beginning.
ALTER TABLE role_work ADD COLUMN again BOOLEAN NOT NULL DEFAULT FALSE;
