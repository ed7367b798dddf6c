DROP TABLE identity_move;
DROP TABLE identity_suggestion;
DROP TABLE identity_alias;
DROP TABLE identity_account;
DROP TABLE identity;
DROP TABLE identity_walk;
DROP TABLE organization_identity;
