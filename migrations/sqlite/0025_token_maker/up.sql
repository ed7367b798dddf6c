-- Id of the API key or the setup link that a token was made with. Both may be gone: it is no reference.
ALTER TABLE directory_token ADD COLUMN made_by TEXT;
