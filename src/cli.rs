//! The command line. `serve`, `migrate`, `check`, `backup` and `restore` work on the database; everything
//! else speaks the management API: of the running server, or of one that is started for the one command
//! on a local port.

mod admin;
mod api_key;
mod audit;
mod backup;
mod brake;
mod call;
mod check;
mod directory;
mod events;
mod identities;
mod keys;
mod local;
mod organization;
mod people;
mod portal;
mod requests;
mod stream;
mod sync;
mod webhook;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use self::call::Call;
use self::local::{perform, send};
use crate::app::{self, App, StartError};
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry;

#[derive(Parser, Debug)]
#[command(name = "rollbook", version, about = "A SCIM 2.0 server and directory-sync platform")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start the server
    Serve,
    /// Bring the database up to date and stop
    Migrate,
    /// Ask the running server whether it is ready
    Health,
    /// Look whether the database is sound, also while a server runs
    Check(check::Check),
    /// Copy the embedded database, also while a server runs
    Backup(backup::Backup),
    /// Put a copy in the place of the embedded database
    Restore(backup::Restore),
    /// Customers
    #[command(subcommand)]
    Organization(organization::Organization),
    /// Persons of an organization across its directories
    #[command(subcommand)]
    Identity(identities::Identity),
    /// Connections to the directories of customers
    #[command(subcommand)]
    Directory(directory::Directory),
    /// Bearer tokens of a directory
    #[command(subcommand)]
    Token(Token),
    /// OAuth clients of a directory
    #[command(subcommand, name = "oauth-client")]
    OAuthClient(OAuthClient),
    /// Keys of the management and read APIs
    #[command(subcommand)]
    ApiKey(api_key::ApiKey),
    /// Who may sign in to the console
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Links by which a customer's administrator connects its directories
    #[command(subcommand)]
    Portal(portal::Portal),
    /// How the set-up pages look
    #[command(subcommand)]
    Branding(portal::Branding),
    /// What SCIM clients sent, how it was understood and what it changed
    #[command(subcommand)]
    Requests(requests::Requests),
    /// Do a recorded request again without storing anything
    Replay(requests::Replay),
    /// What the app is told
    #[command(subcommand)]
    Events(events::Events),
    /// The brake of a directory that takes away too much
    #[command(subcommand)]
    Brake(brake::Brake),
    /// What needs attention
    Alarms(brake::Alarms),
    /// The installation in numbers, now and over time
    Overview {
        /// How far back: 1h, 24h, 7d or 90d
        #[arg(long, default_value = "1h")]
        span: String,
    },
    /// What was done through the API, the console and commands, and by whom
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Who is who, in all directories
    #[command(subcommand)]
    People(people::People),
    /// Where events are sent to
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Read directories that nobody pushes
    #[command(subcommand)]
    Sync(sync::Sync),
    /// Streams of Security Event Tokens
    #[command(subcommand)]
    Stream(stream::Stream),
    /// The secret key of the installation: another one without losing what is sealed
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Keys that sign Security Event Tokens
    #[command(subcommand)]
    SigningKey(stream::SigningKey),
}

#[derive(Subcommand, Debug)]
enum Token {
    /// Make another token; the ones before it stay valid
    Create {
        /// Id of the directory
        directory: String,
        /// 2031-01-01T00:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
        /// write or read
        #[arg(long, default_value = "write")]
        scope: String,
    },
    /// Tokens without their secrets
    List {
        /// Id of the directory
        directory: String,
    },
    /// Make a successor; the token itself ends after the overlap
    Rotate {
        /// Id of the directory
        directory: String,
        /// Id of the token: directory_token_…
        token: String,
        /// Seconds that both are valid; a day by default
        #[arg(long)]
        overlap: Option<i64>,
        /// When the successor expires
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// End a token at once
    Revoke {
        /// Id of the directory
        directory: String,
        /// Id of the token: directory_token_…
        token: String,
    },
}

#[derive(Subcommand, Debug)]
enum OAuthClient {
    /// Make a client that gets its access tokens at /oauth/token
    Create {
        /// Id of the directory
        directory: String,
        /// What you call it
        #[arg(long)]
        name: Option<String>,
        /// File with the public keys of a client that signs (JWKS); without it a secret is made
        #[arg(long, value_name = "FILE", value_parser = json_file)]
        jwks: Option<Value>,
        /// write or read
        #[arg(long, default_value = "write")]
        scope: String,
        /// 2031-01-01T00:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Clients without their secrets
    List {
        /// Id of the directory
        directory: String,
    },
    /// Remove the client; its access tokens die with it
    Delete {
        /// Id of the directory
        directory: String,
        /// Id of the client: oauth_client_…
        client: String,
    },
}

/// The JSON document in a file.
fn json_file(path: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}"))
}

/// Runs the command of this process.
pub fn run() -> Result<ExitCode, StartError> {
    let cli = Cli::parse();
    let config = Config::load()?;
    match cli.command {
        Command::Check(command) => return check::run(&config, &command),
        Command::Sync(command) => return sync::run(&config, command),
        Command::Serve => {
            telemetry::init_logs();
            actix_web::rt::System::new().block_on(serve(&config))?;
        }
        Command::Migrate => {
            let applied = app::migrate(&config)?;
            print(&json!({"applied": applied}));
        }
        Command::Health => health(&config.data_dir)?,
        Command::Backup(command) => backup::backup(&config, &command)?,
        Command::Restore(command) => backup::restore(&config, &command)?,
        Command::Requests(command) => requests::run(&config, command)?,
        Command::Replay(command) => requests::replay(&config, &command)?,
        Command::Events(command) => events::run(&config, command)?,
        Command::Audit(command) => audit::run(&config, command)?,
        Command::Keys(command) => keys::run(&config, &command)?,
        Command::Admin(command) => {
            let answer = perform(&config, &admin::call(command)?)?;
            if !answer.is_null() {
                print(&answer);
            }
        }
        other => {
            let answer = perform(&config, &call(other))?;
            if !answer.is_null() {
                print(&answer);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> Result<(), StartError> {
    let app = App::start(config, Clock::system()).await?;
    tracing::info!(address = %app.address, "listening");
    if let Some(first) = &app.first_start {
        if std::io::stdout().is_terminal() {
            show_first_start(&app::first_start_text(first));
        } else {
            let path = app::keep_first_start(first, &config.data_dir)?;
            tracing::info!(path = %path.display(), "base URL, token and API key are in this file");
        }
    }
    app.run().await
}

fn call(command: Command) -> Call {
    match command {
        Command::Organization(command) => organization::call(command),
        Command::Identity(command) => identities::call(command),
        Command::Directory(command) => directory::call(command),
        Command::Token(command) => token(command),
        Command::OAuthClient(command) => oauth_client(command),
        Command::ApiKey(command) => api_key::call(command),
        Command::Brake(command) => brake::brake(command),
        Command::Alarms(wanted) => brake::alarms(wanted),
        Command::Overview { span } => Call::find("/api/v1/overview", &[("span", Some(span))]),
        Command::People(command) => people::people(command),
        Command::Portal(command) => portal::call(command),
        Command::Branding(command) => portal::branding(command),
        Command::Webhook(command) => webhook::call(command),
        Command::Stream(command) => stream::call(command),
        Command::SigningKey(command) => stream::key_call(&command),
        Command::Serve
        | Command::Migrate
        | Command::Health
        | Command::Check(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Requests(_)
        | Command::Replay(_)
        | Command::Sync(_)
        | Command::Keys(_)
        | Command::Audit(_)
        | Command::Admin(_)
        | Command::Events(_) => Call::get("/health/live"),
    }
}

fn token(command: Token) -> Call {
    let path = |directory: &str| format!("/api/v1/directories/{directory}/tokens");
    match command {
        Token::Create { directory, expires_at, scope } => {
            Call::post(path(&directory), json!({"expires_at": expires_at, "scope": scope}))
        }
        Token::List { directory } => Call::get(path(&directory)),
        Token::Rotate { directory, token, overlap, expires_at } => Call::post(
            format!("{}/{token}/rotate", path(&directory)),
            json!({"overlap": overlap, "expires_at": expires_at}),
        ),
        Token::Revoke { directory, token } => Call::delete(format!("{}/{token}", path(&directory))),
    }
}

fn oauth_client(command: OAuthClient) -> Call {
    let path = |directory: &str| format!("/api/v1/directories/{directory}/oauth_clients");
    match command {
        OAuthClient::Create { directory, name, jwks, scope, expires_at } => {
            let method = if jwks.is_some() { "private_key_jwt" } else { "client_secret" };
            Call::post(
                path(&directory),
                json!({
                    "name": name,
                    "auth_method": method,
                    "jwks": jwks,
                    "scope": scope,
                    "expires_at": expires_at,
                }),
            )
        }
        OAuthClient::List { directory } => Call::get(path(&directory)),
        OAuthClient::Delete { directory, client } => {
            Call::delete(format!("{}/{client}", path(&directory)))
        }
    }
}

fn health(folder: &Path) -> Result<(), StartError> {
    let access = app::running_server(folder)
        .ok_or_else(|| StartError("no server runs on this data folder".into()))?;
    let answer = send(&access, &Call::get("/health/ready"))?;
    print(&answer);
    Ok(())
}

fn print(value: &Value) {
    print_line(format_args!("{value:#}"));
}

/// Writes a line of a command's answer. Whoever reads it may have seen enough, as `head` does.
fn print_line(line: std::fmt::Arguments<'_>) {
    use std::io::{ErrorKind, Write};
    let Err(error) = writeln!(std::io::stdout(), "{line}") else { return };
    std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
}

#[expect(clippy::print_stdout, reason = "shown once, on a terminal")]
fn show_first_start(text: &str) {
    println!("\nThis is shown once:\n\n{text}");
}
