//! Shell blocks: a command line, its folder, its variables (section 2.10 of the contract).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Value;
use crate::process::{Ending, ProcessId};

/// A shell that runs.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) process: ProcessId,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// How many of its outputs are still open.
    pub(crate) open: u8,
    pub(crate) ending: Option<Ending>,
}

/// What a shell block asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) line: String,
    pub(crate) folder: PathBuf,
    pub(crate) variables: Vec<(OsString, OsString)>,
}

impl Shell {
    pub(crate) const fn new(process: ProcessId) -> Self {
        Self { process, stdout: String::new(), stderr: String::new(), open: 2, ending: None }
    }

    pub(crate) fn add(&mut self, stdio: &str, line: &str) {
        let text = if stdio == "stdout" { &mut self.stdout } else { &mut self.stderr };
        text.push_str(line);
        text.push('\n');
    }

    /// Its outputs, each without the last end of a line.
    pub(crate) fn outputs(&self) -> Vec<(String, Value)> {
        let text = |text: &str| Value::of(&text.strip_suffix('\n').unwrap_or(text).into());
        vec![("stdout".to_owned(), text(&self.stdout)), ("stderr".to_owned(), text(&self.stderr))]
    }
}

impl Command {
    /// Reads the inputs of a shell block that lies in `dir`.
    pub(crate) fn of(inputs: &[(String, Value)], dir: &Path) -> Result<Self, String> {
        let input =
            |name: &str| inputs.iter().find(|(known, _)| known == name).map(|(_, value)| value.parse());
        let line = match input("command") {
            Some(serde_json::Value::String(line)) => line,
            Some(other) => {
                return Err(format!(
                    "the input `command` must be a text, not {}",
                    crate::log::cut(&other.to_string())
                ));
            }
            None => return Err("the input `command` is missing".to_owned()),
        };
        let folder = match input("cwd").and_then(|value| value.as_str().map(str::to_owned)) {
            Some(folder) if !folder.is_empty() => dir.join(folder),
            _ => dir.to_owned(),
        };
        if !folder.is_dir() {
            return Err(format!("the folder {} of the command is not there", folder.display()));
        }
        let text = input("envs").and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        let variables = pairs.map(|(name, value)| (name.trim().into(), value.into())).collect();
        Ok(Self { line, folder, variables })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands() {
        let inputs = |pairs: &[(&str, serde_json::Value)]| -> Vec<(String, Value)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::of(value))).collect()
        };
        let dir = Path::new("/");
        let command = Command::of(&inputs(&[("command", json!("ls")), ("envs", json!("A=1,B=x=y"))]), dir);
        let variables = vec![("A".into(), "1".into()), ("B".into(), "x=y".into())];
        assert_eq!(command, Ok(Command { line: "ls".into(), folder: "/".into(), variables }));
        let command = Command::of(&inputs(&[("command", json!("ls")), ("cwd", json!("proc"))]), dir);
        assert_eq!(command.map(|command| command.folder), Ok("/proc".into()));
        for (summary, pairs) in [
            ("no command", inputs(&[])),
            ("no text", inputs(&[("command", json!(1))])),
            ("no folder", inputs(&[("command", json!("ls")), ("cwd", json!("not/there"))])),
        ] {
            assert!(Command::of(&pairs, dir).is_err(), "{summary}");
        }
    }
}
