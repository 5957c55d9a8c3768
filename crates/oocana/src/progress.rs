//! What a run shows: a line per node and per line that a block writes; on a terminal also what is running now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use runner::{Happening, Observer};

use crate::cli::Progress;
use crate::printer;

/// How often the line at the bottom is written anew.
const REFRESH: Duration = Duration::from_millis(50);

/// How many running nodes it names.
const NAMED: usize = 4;

/// The longest text of a block that is shown in one line, in characters.
const MAX_TEXT: usize = 4000;

/// Shows a run.
#[derive(Debug)]
pub(crate) struct Display {
    is_shown: bool,
    is_live: bool,
    running: BTreeMap<String, (Instant, f64, usize)>,
    done: usize,
    total: usize,
    drawn: Option<Instant>,
}

impl Display {
    pub(crate) fn new(progress: Progress) -> Self {
        Self {
            is_shown: progress != Progress::Off,
            is_live: progress == Progress::Auto && printer::is_terminal(),
            running: BTreeMap::new(),
            done: 0,
            total: 0,
            drawn: None,
        }
    }

    /// Takes away what is written over again.
    pub(crate) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            printer::live("\r\u{1b}[K");
        }
    }

    fn line(&mut self, text: &str) {
        if self.is_shown {
            self.clear();
            printer::note(text);
            self.draw();
        }
    }

    /// Writes what is running now.
    fn draw(&mut self) {
        if !self.is_live || self.drawn.is_some_and(|drawn| drawn.elapsed() < REFRESH) {
            return;
        }
        let names = self.running.iter().take(NAMED).map(|(place, (since, percent, _))| {
            let percent = if *percent > 0.0 { format!(" {percent:.0}%") } else { String::new() };
            format!("{}{percent} {:.1}s", plain(place, 30), since.elapsed().as_secs_f64())
        });
        let names = names.collect::<Vec<_>>().join("  ");
        let more = self.running.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("  and {more} more") } else { String::new() };
        printer::live(&format!("\r\u{1b}[K[{} of {}] {names}{more}", self.done, self.total.max(self.done)));
        self.drawn = Some(Instant::now());
    }

    fn finished(&mut self, place: &str, error: Option<&str>, time: Duration) {
        if let Some((_, _, count)) = self.running.get_mut(place) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(place);
            }
        }
        self.done += 1;
        let time = format!("{:.2} s", time.as_secs_f64());
        match error {
            None => self.line(&format!("{} {place} {time}", printer::label("ok", "32"))),
            Some(_) => self.line(&format!("{} {place} {time}", printer::label("failed", "31"))),
        }
    }
}

/// Text without what a terminal would act on.
fn plain(text: &str, most: usize) -> String {
    let mut short: String =
        text.chars().take(most).map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}

impl Observer for Display {
    fn happened(&mut self, happening: &Happening<'_>) {
        match happening {
            Happening::Started { nodes, .. } => self.total = *nodes,
            Happening::Warning(text) => {
                self.clear();
                printer::warning(text);
            }
            Happening::NodeStarted { place } => {
                let entry = self.running.entry((*place).to_owned());
                entry.or_insert_with(|| (Instant::now(), 0.0, 0)).2 += 1;
                self.draw();
            }
            Happening::NodeFinished { place, error, time } => self.finished(place, *error, *time),
            Happening::Progress { place, percent } => {
                if let Some((_, own, _)) = self.running.get_mut(*place) {
                    *own = *percent;
                }
                self.draw();
            }
            Happening::Complaint { place, text } => {
                self.line(&format!("{} {place}: {}", printer::label("note", "33"), plain(text, MAX_TEXT)));
            }
            Happening::Log { place, text, .. } => self.line(&format!("{place} | {}", plain(text, MAX_TEXT))),
            Happening::Report(text) | Happening::LogLine(text) => {
                self.clear();
                printer::result(text);
            }
        }
    }
}
