DROP TABLE portal_link;
