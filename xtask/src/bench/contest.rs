//! Several programs that do the same thing, one after the other, and what came of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::memory;
use super::timing::{once, quietly, spread};
use crate::{Error, report};

/// Commands that are made anew for each round, run one after the other.
pub(super) type Commands = Box<dyn Fn() -> Vec<Command>>;

/// One thing that several programs do.
pub(super) struct Contest {
    pub(super) situation: String,
    /// How often each does it, after a first round that is not counted.
    pub(super) rounds: usize,
    pub(super) entrants: Vec<Entrant>,
}

/// One program in it. Ours comes first.
pub(super) struct Entrant {
    pub(super) program: &'static str,
    /// Sets the stage; not timed.
    pub(super) before: Commands,
    pub(super) timed: Commands,
    /// What it makes, when its size and the memory it takes to make it are of interest.
    pub(super) makes: Option<PathBuf>,
}

/// What one program did in one situation.
pub(super) struct Outcome {
    pub(super) situation: String,
    pub(super) program: &'static str,
    pub(super) times: Vec<Duration>,
    /// The size of what it made in bytes, and the most memory that its processes had, in KiB.
    pub(super) made: Option<(u64, u64)>,
}

impl Contest {
    /// Lets the programs take turns. What they print goes to `log`.
    pub(super) fn measure(&self, log: &Path) -> Result<Vec<Outcome>, Error> {
        report::line(&format!("\n== {}", self.situation));
        let outcome = |entrant: &Entrant| Outcome {
            situation: self.situation.clone(),
            program: entrant.program,
            times: Vec::new(),
            made: None,
        };
        let mut outcomes: Vec<Outcome> = self.entrants.iter().map(outcome).collect();
        // The first round warms caches and is not counted.
        for round in 0..=self.rounds {
            for (entrant, outcome) in self.entrants.iter().zip(&mut outcomes) {
                let time = entrant.compete(log)?;
                if round > 0 {
                    outcome.times.push(time);
                }
            }
        }
        for (entrant, outcome) in self.entrants.iter().zip(&mut outcomes) {
            outcome.made = entrant.made(log)?;
            if let Some((median, ..)) = spread(&outcome.times) {
                let (median, rounds) = (milliseconds(median), self.rounds);
                report::line(&format!("{}: {median} in the median of {rounds}", outcome.program));
            }
        }
        Ok(outcomes)
    }
}

impl Entrant {
    fn compete(&self, log: &Path) -> Result<Duration, Error> {
        (self.before)().iter_mut().try_for_each(quietly)?;
        (self.timed)().into_iter().map(|command| once(command, log)).sum()
    }

    /// Does it once more, to see how much memory that takes, and how large the result is.
    fn made(&self, log: &Path) -> Result<Option<(u64, u64)>, Error> {
        let Some(path) = &self.makes else { return Ok(None) };
        let (done, memory) = memory::watch(|| self.compete(log))?;
        done?;
        Ok(Some((size(path)?, memory)))
    }
}

/// The bytes of all files at `path`.
fn size(path: &Path) -> Result<u64, Error> {
    let look = |error| Error::io(format!("look at {}", path.display()))(error);
    if !path.is_dir() {
        return Ok(path.metadata().map_err(look)?.len());
    }
    path.read_dir().map_err(look)?.map(|entry| size(&entry.map_err(look)?.path())).sum()
}

/// The results as a table.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let made = outcomes.iter().any(|outcome| outcome.made.is_some());
    let (head, rule) = if made { (" size | peak memory |", " --- | --- |") } else { ("", "") };
    let mut table =
        format!("\n| situation | program | median | least – most | runs | against ours |{head}\n");
    table.push_str(&format!("| --- | --- | --- | --- | --- | --- |{rule}\n"));
    outcomes.iter().for_each(|outcome| table.push_str(&row(outcome, outcomes, made)));
    table
}

fn row(outcome: &Outcome, all: &[Outcome], made: bool) -> String {
    let Some((median, least, most)) = spread(&outcome.times) else { return String::new() };
    // The first of a situation is ours.
    let ours = all.iter().find(|other| other.situation == outcome.situation);
    let ratio = ours
        .and_then(|ours| spread(&ours.times))
        .map_or_else(String::new, |(ours, ..)| format!("{:.2}×", median.as_secs_f64() / ours.as_secs_f64()));
    let [median, least, most] = [median, least, most].map(milliseconds);
    let (situation, program, runs) = (&outcome.situation, outcome.program, outcome.times.len());
    let more = match outcome.made {
        Some((size, memory)) => format!(" {} MB | {} MiB |", size / 1_000_000, memory / 1024),
        None if made => " | |".to_owned(),
        None => String::new(),
    };
    format!("| {situation} | {program} | {median} | {least} – {most} | {runs} | {ratio} |{more}\n")
}

/// A time, of which most here are short.
fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Nothing to do before.
pub(super) fn nothing() -> Commands {
    Box::new(Vec::new)
}

/// A program that gets these words every time.
pub(super) fn words(program: &str, arguments: &[&str]) -> Commands {
    let (program, arguments) = (program.to_owned(), arguments.iter().map(|word| (*word).to_owned()));
    let arguments: Vec<String> = arguments.collect();
    Box::new(move || {
        let mut command = Command::new(&program);
        command.args(&arguments);
        vec![command]
    })
}

/// A script for the shell.
pub(super) fn script(text: &str) -> Commands {
    words("sh", &["-e", "-c", text])
}
