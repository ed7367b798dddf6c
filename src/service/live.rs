//! What has changed, by topic, for whoever looks at it.
