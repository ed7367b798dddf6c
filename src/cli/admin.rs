//! `rollbook admin`: who may sign in to the console.

use std::io::{IsTerminal, Read};

use clap::{Subcommand, ValueEnum};
use console::Term;
use serde_json::json;

use super::call::Call;
use crate::app::StartError;

#[derive(Subcommand, Debug)]
pub(super) enum Admin {
    /// Make an account; the password is asked for
    Create {
        /// E-mail address, which signs in
        email: String,
        #[arg(long)]
        name: String,
        #[arg(long, value_enum, default_value_t = Role::Viewer)]
        role: Role,
        #[command(flatten)]
        password: Password,
        /// Print a link by which somebody else chooses the password, once
        #[arg(long, conflicts_with = "password_stdin")]
        invite: bool,
    },
    List,
    /// Another role; ends every session of the account
    SetRole {
        /// admin_…
        id: String,
        #[arg(value_enum)]
        role: Role,
    },
    /// Another password; ends every session of the account
    SetPassword {
        id: String,
        #[command(flatten)]
        password: Password,
    },
    /// Print another link by which the password is chosen, once
    Invite {
        id: String,
    },
    /// Remove the account with its sessions
    Delete {
        id: String,
    },
    /// The browsers in which it is signed in
    Sessions {
        id: String,
    },
    /// End one session, or all of them
    Revoke {
        id: String,
        /// admin_session_…
        session: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Sees everything
    Viewer,
    /// Also acts
    Operator,
    /// Also decides on administrators, API keys and secret keys
    Owner,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

#[derive(clap::Args, Debug)]
pub(super) struct Password {
    /// Read the password from the first line of the standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Password {
    /// From the standard input, or asked for twice on the terminal without showing it.
    fn read(&self) -> Result<String, StartError> {
        let failed = |error| StartError(format!("cannot read the password: {error}"));
        if self.password_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(failed)?;
            return Ok(text.lines().next().unwrap_or_default().to_owned());
        }
        let terminal = Term::stderr();
        if !terminal.is_term() || !std::io::stdin().is_terminal() {
            let message = "there is no terminal to ask for the password on; give --password-stdin";
            return Err(StartError(message.to_owned()));
        }
        let ask = |prompt: &str| {
            terminal.write_str(prompt).and_then(|()| terminal.read_secure_line()).map_err(failed)
        };
        let password = ask("Password: ")?;
        if ask("The same again: ")? != password {
            return Err(StartError("the passwords are not the same".to_owned()));
        }
        Ok(password)
    }
}

pub(super) fn call(command: Admin) -> Result<Call, StartError> {
    const PATH: &str = "/api/v1/admins";
    Ok(match command {
        Admin::Create { email, name, role, password, invite } => {
            let password = if invite { None } else { Some(password.read()?) };
            let (role, name) = (role.word(), name.as_str());
            let body = json!({"email": email, "name": name, "role": role, "password": password});
            Call::post(PATH, body)
        }
        Admin::List => Call::get(format!("{PATH}?limit=500")),
        Admin::SetRole { id, role } => {
            Call::patch(format!("{PATH}/{id}"), json!({"role": role.word()}))
        }
        Admin::SetPassword { id, password } => {
            Call::patch(format!("{PATH}/{id}"), json!({"password": password.read()?}))
        }
        Admin::Invite { id } => Call::post(format!("{PATH}/{id}/invitation"), json!({})),
        Admin::Delete { id } => Call::delete(format!("{PATH}/{id}")),
        Admin::Sessions { id } => Call::get(format!("{PATH}/{id}/sessions")),
        Admin::Revoke { id, session: None } => Call::delete(format!("{PATH}/{id}/sessions")),
        Admin::Revoke { id, session: Some(session) } => {
            Call::delete(format!("{PATH}/{id}/sessions/{session}"))
        }
    })
}
