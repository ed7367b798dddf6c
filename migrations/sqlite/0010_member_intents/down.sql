DROP TABLE member_intent_part;
DROP TABLE member_intent;
