-- Nothing here: PostgreSQL keeps the data of events as text, and finds the user of a membership in it.
SELECT 1;
