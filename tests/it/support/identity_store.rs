//! An identity store of AWS: moto, which checks signatures and rights (`tests/peers/aws`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::peer::peer;

/// A running store, ended with the test.
pub struct IdentityStore {
    child: Child,
    /// `None` once it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Where it is, and whose keys it takes.
    about: Value,
}

impl IdentityStore {
    /// Starts one; `None`, with a word about it, where moto is not installed. That is never so in CI.
    pub fn start() -> Option<Self> {
        let mut child = peer("aws", "serve.py")?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("moto starts");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let about = line(&mut output);
        Some(Self { child, input, output, about })
    }

    /// Tells it to do something, such as `{"do": "delete_user", "id": …}`.
    #[track_caller]
    pub fn tell(&mut self, command: &Value) -> Value {
        let input = self.input.as_mut().expect("it runs");
        writeln!(input, "{command}").expect("it listens");
        line(&mut self.output)
    }

    /// The configuration that reads it with the keys of `who`.
    pub fn config(&self, who: &str) -> Value {
        let about = &self.about;
        json!({
            "region": about["region"],
            "identity_store_id": about["identity_store_id"],
            "access_key_id": about[who]["access_key_id"],
            "secret_access_key": about[who]["secret_access_key"],
            "endpoint_url": about["url"],
            "sts_endpoint_url": about["url"],
            "allow_private_network": true,
        })
    }

    pub fn about(&self, name: &str) -> &Value {
        &self.about[name]
    }
}

impl Drop for IdentityStore {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).expect("it answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}
