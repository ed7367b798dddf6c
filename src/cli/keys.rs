//! `rollbook keys`: another secret key for the installation.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::call::Call;
use super::local::{perform, send, server};
use super::{print, print_line};
use crate::app::{self, SECRET_KEY_FILE, StartError};
use crate::auth::{SecretKey, key_id};
use crate::config::Config;

const PATH: &str = "/api/v1/secret_keys";

/// How often the command looks how far a rotation is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks that a rotation which was cut off has for going on: ten minutes.
const CUT_OFF_LOOKS: u32 = 1_200;

#[derive(Subcommand, Debug)]
pub(super) enum Keys {
    /// Put a new key before the one of the data folder; the server must be stopped
    New,
    /// The keys of the server, those that the database needs, and how far a rotation is
    Status,
    /// Seal everything again with the first key of the running server, and wait for the end
    Rotate,
}

pub(super) fn run(config: &Config, command: &Keys) -> Result<(), StartError> {
    match command {
        Keys::New => new(config),
        Keys::Status => {
            print(&perform(config, &Call::get(PATH))?);
            Ok(())
        }
        Keys::Rotate => rotate(config),
    }
}

fn new(config: &Config) -> Result<(), StartError> {
    if config.secret_key.is_some() {
        print_line(format_args!("{}", SecretKey::generate().to_text()));
        print_line(format_args!(
            "The secret key is configured, not in the data folder. Put this one behind it, with a comma \
             between them, and restart every server; then put it first, and restart them again."
        ));
        return Ok(());
    }
    let _lock = app::lock_data_dir(&config.data_dir)?;
    let known = app::known_secret_key(config)?.ok_or_else(|| {
        StartError("there is no secret key yet; the first start of the server makes one".into())
    })?;
    let keys = known.followed();
    // More than a server takes.
    if SecretKey::parse(&keys.to_text()).is_none() {
        return Err(StartError(
            "there are too many keys; rotate and let the old ones go before making another".into(),
        ));
    }
    app::write_private(&config.data_dir.join(SECRET_KEY_FILE), keys.to_text().as_bytes())?;
    print_line(format_args!(
        "The data folder has a new key, {}, before the old one. Start the server, then run \"rollbook keys \
         rotate\".",
        key_id(&keys.check_value())
    ));
    Ok(())
}

/// A member of an answer; null where there is none.
fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn rotate(config: &Config) -> Result<(), StartError> {
    let access = server(config)?;
    send(&access, &Call::post(format!("{PATH}/rotate"), json!({})))?;
    let mut patience = CUT_OFF_LOOKS;
    let status = loop {
        let status = send(&access, &Call::get(PATH))?;
        match member(member(&status, "rotation"), "state").as_str() {
            Some("running") => patience = CUT_OFF_LOOKS,
            // The server goes on with it by itself, within a minute.
            Some("interrupted") if patience > 0 => patience -= 1,
            _ => break status,
        }
        std::thread::sleep(LOOK_EVERY);
    };
    print(&status);
    let rotation = member(&status, "rotation");
    if let Some(error) = member(rotation, "error").as_str() {
        return Err(StartError(format!("not everything is sealed again: {error}")));
    }
    // Whoever throws a key away that is still needed loses what is sealed with it.
    let (current, needed) = (member(&status, "current"), member(&status, "needed"));
    let is_done = member(rotation, "state") == "completed" && member(rotation, "key") == current;
    if !is_done || *needed != json!([current]) {
        return Err(StartError(format!(
            "not everything is sealed again: the rotation is {}, and the database needs the keys {needed}; \
             keep them all and run \"rollbook keys rotate\" again",
            member(rotation, "state")
        )));
    }
    if config.secret_key.is_some() {
        print_line(format_args!(
            "ROLLBOOK_SECRET_KEY may hold the first key alone now; the servers need the others no more."
        ));
        return Ok(());
    }
    let known = app::known_secret_key(config)?;
    let known =
        known.filter(|key| member(&status, "current") == key_id(&key.check_value()).as_str());
    if let Some(key) = known {
        let file = config.data_dir.join(SECRET_KEY_FILE);
        app::write_private(&file, key.alone().to_text().as_bytes())?;
        print_line(format_args!("The data folder has the new key alone now."));
    }
    Ok(())
}
