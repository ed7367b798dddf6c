ALTER TABLE resource DROP COLUMN excluded;
