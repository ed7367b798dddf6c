ALTER TABLE role_work DROP COLUMN again;
