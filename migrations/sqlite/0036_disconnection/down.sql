DROP TABLE handed_over;
DROP TABLE disconnection;
