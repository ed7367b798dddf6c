//! Creates and reads on a bare PostgreSQL, driven by its own `pgbench`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::template::{Piece, Template, select};
use super::{POSTGRES, POSTGRES_GET, statements, with_values};

/// A database that a server has made, and the scripts for it.
pub(crate) struct Bare {
    url: String,
    connections: usize,
    create: PathBuf,
    get: PathBuf,
    /// Reads in one run of the script.
    gets: u32,
    /// Values of the scripts' variables; those of text are sent with every statement, as a server does.
    variables: Vec<(String, String)>,
}

impl Bare {
    /// Reads the template's user, whom a server has created, and writes the scripts into the folder.
    /// `ids` are the users to read.
    pub(crate) fn new(
        url: &str,
        connections: usize,
        folder: &Path,
        user_name: &str,
        ids: &[&str],
    ) -> Result<Self, String> {
        let text = select("json_build_object", "json_build_array", "json_agg", "e.data");
        let json = psql(url, &format!("{text} '{user_name}'"))?;
        let template = Template::parse(&json)?;
        let mut variables = Vec::new();
        let create = create_script(&template, &mut variables)?;
        let mut get = String::new();
        let directory_key = template.value("directory_key")?;
        for id in ids {
            // As in the create, the value of a name stands in a variable.
            let variable = format!("id_{}", variables.len());
            for statement in statements(POSTGRES_GET) {
                let text = with_values(&statement, |name| match name {
                    "id" => format!(":{variable}"),
                    _ => directory_key.to_string(),
                });
                let _ = writeln!(get, "{text};");
            }
            variables.push((variable, (*id).to_owned()));
        }
        let gets = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            let written = fs::write(&path, text);
            written.map(|()| path).map_err(|error| format!("a script of pgbench: {error}"))
        };
        Ok(Self {
            url: url.to_owned(),
            connections,
            create: write("create.pgbench.sql", &create)?,
            get: write("get.pgbench.sql", &get)?,
            gets,
            variables,
        })
    }

    /// Creates a second, over this many seconds.
    pub(crate) fn creates(&self, seconds: u64) -> Result<f64, String> {
        self.pgbench(&self.create, seconds)
    }

    /// Reads a second, over this many seconds.
    pub(crate) fn gets(&self, seconds: u64) -> Result<f64, String> {
        Ok(self.pgbench(&self.get, seconds)? * f64::from(self.gets))
    }

    fn pgbench(&self, script: &Path, seconds: u64) -> Result<f64, String> {
        let mut command = Command::new("pgbench");
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        command.arg(format!("--client={}", self.connections));
        command.arg(format!("--time={seconds}"));
        command.arg("--file").arg(script);
        for (name, value) in &self.variables {
            command.arg(format!("--define={name}={value}"));
        }
        let text = output(command.arg(&self.url))?;
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        rate.and_then(|rate| rate.parse().ok())
            .ok_or_else(|| format!("pgbench did not say how fast it was:\n{text}"))
    }
}

/// The statements as a script: a random number is made, and every value follows from it.
fn create_script(
    template: &Template,
    variables: &mut Vec<(String, String)>,
) -> Result<String, String> {
    variables.push(("template_name".to_owned(), template.name.clone()));
    variables.push(("template_decimal".to_owned(), template.decimal.clone()));
    let mut script = String::from("\\set number random(1125899906842624, 1152921504606846975)\n");
    let mut missing = None;
    for statement in statements(POSTGRES) {
        let text = with_values(&statement, |name| match expression(template, name) {
            Ok((expression, fixed)) => {
                if let Some(value) = fixed.filter(|_| variables.iter().all(|(n, _)| n != name)) {
                    variables.push((name.to_owned(), value));
                }
                expression
            }
            Err(error) => {
                missing = Some(error);
                String::new()
            }
        });
        let end = if text.ends_with("RETURNING key") { "\n\\gset" } else { ";" };
        let _ = writeln!(script, "{text}{end}");
    }
    missing.map_or(Ok(script), Err)
}

/// What stands in the place of a name, and the value of the variable in it if it has one.
fn expression(template: &Template, name: &str) -> Result<(String, Option<String>), String> {
    // The start of the transaction: ids rise, and a connection makes one at a time.
    let id = |prefix: &str| {
        format!(
            "('{prefix}01Z' || to_char(now(), 'YYYYMMDDHH24MISSUS') || \
             lpad(CAST(:client_id AS TEXT), 3, '0'))"
        )
    };
    Ok(match name {
        "id" => (id("directory_user_"), None),
        "event_id" => (id("event_"), None),
        "key" => (":key".to_owned(), None),
        _ => match template.value(name)? {
            Value::Null => ("NULL".to_owned(), None),
            Value::String(text) => {
                let pieces = template.pieces(text);
                let mut expression = format!(":{name}");
                if pieces.contains(&Piece::Name) {
                    expression = format!(
                        "replace({expression}, :template_name, \
                         lpad(to_hex(CAST(:number AS BIGINT)), 16, '0'))"
                    );
                }
                if pieces.contains(&Piece::Decimal) {
                    expression =
                        format!("replace({expression}, :template_decimal, CAST(:number AS TEXT))");
                }
                (expression, Some(text.clone()))
            }
            value => (format!(":{name}"), Some(value.to_string())),
        },
    })
}

/// The version of the server.
pub(crate) fn version(url: &str) -> Result<String, String> {
    psql(url, "SHOW server_version")
}

fn psql(url: &str, query: &str) -> Result<String, String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--command", query, url]);
    Ok(output(&mut command)?.trim().to_owned())
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program} does not run: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // pgbench goes on when a connection fails; what it says then is not about all.
    if !output.status.success() || errors.contains("aborted") {
        return Err(format!("{program} failed:\n{errors}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
