DROP TABLE admin_link;
DROP TABLE admin_session;
DROP TABLE admin;
