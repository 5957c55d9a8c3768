//! Programs that keep credentials: `docker-credential-NAME get` takes the registry's name on its standard input and
//! answers with JSON.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;

use crate::registry::{Identity, RegistryError, Secret};

/// No answer is longer, in bytes.
const LIMIT: u64 = 64 << 10;

/// A helper may ask its user for a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// What helpers answer when they know nothing, whatever their exit status.
const UNKNOWN: &str = "credentials not found";

/// The user of a secret that is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `name`, which the file `config` names, who we are at `registry`.
pub(super) fn get(name: &str, registry: &str, config: &Path) -> Result<Option<Identity>, RegistryError> {
    let program = format!("docker-credential-{name}");
    let refuse = |why: String| RegistryError::Helper {
        program: program.clone(),
        registry: registry.to_owned(),
        config: config.to_owned(),
        why,
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(refuse("this is not the name of a program".to_owned()));
    }
    let spawned = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.map_err(|error| refuse(format!("it cannot be started: {error}")))?;
    let asked = ask(&mut child, registry);
    if asked.is_none() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| refuse(error.to_string()))?;
    let Some(output) = asked else {
        return Err(refuse(format!(
            "it gave no answer of a sensible length within {} s",
            PATIENCE.as_secs()
        )));
    };
    let text = String::from_utf8_lossy(&output);
    if text.trim_start().to_ascii_lowercase().starts_with(UNKNOWN) {
        return Ok(None);
    }
    if !status.success() {
        let first: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
        return Err(refuse(format!("it ended with {status}: {first}")));
    }
    // The error of the parser could show a part of the secret.
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| refuse("its answer is not JSON as expected".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        TOKEN_USER => Identity::IdentityToken(secret),
        _ => Identity::Password { user: answer.username, password: secret },
    }))
}

/// What the helper prints; none when it takes too long or prints too much.
fn ask(child: &mut Child, registry: &str) -> Option<Vec<u8>> {
    let (mut input, output) = (child.stdin.take()?, child.stdout.take()?);
    // A helper that does not read has closed its end; its answer says why.
    let _ = input.write_all(registry.as_bytes());
    drop(input);
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(LIMIT + 1).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    let bytes = receive.recv_timeout(PATIENCE).ok()?.ok()?;
    (bytes.len() as u64 <= LIMIT).then_some(bytes)
}
