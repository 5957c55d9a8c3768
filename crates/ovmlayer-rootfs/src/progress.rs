//! Shows what a build tells: a bar on a terminal, lines elsewhere, JSON on request.

mod reading;
mod transfer;

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use recipe::events::{Event, Events, Phase};

use crate::cli::Progress;
use crate::printer;

pub(crate) use reading::Reading;
pub(crate) use transfer::Transfer;

/// The longest time between two lines about the same work.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The events of one program run, shown in one of three forms.
pub(crate) struct Shown {
    form: Form,
    verbose: bool,
}

enum Form {
    Bar(ProgressBar),
    Lines(Mutex<Instant>),
    Json,
}

impl Shown {
    pub(crate) fn new(progress: Progress, verbose: bool) -> Self {
        let form = match progress {
            Progress::Auto if std::io::stderr().is_terminal() => Form::Bar(bar()),
            Progress::Auto | Progress::Plain => Form::Lines(Mutex::new(Instant::now())),
            Progress::Json => Form::Json,
        };
        Self { form, verbose }
    }

    /// Takes the bar away, so that other lines can be printed.
    pub(crate) fn finish(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    /// Shows how far something is, in words and as a line of JSON, but not too often.
    fn share(&self, text: &str, (done, total): (u64, u64), json: &serde_json::Value, last: &mut Instant) {
        if let Form::Bar(bar) = &self.form {
            bar.set_message(text.to_owned());
            bar.set_length(total.max(1));
            bar.set_position(done.min(total));
            return;
        }
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            self.tell(text, json);
        }
    }

    /// Shows something at once, in words or as a line of JSON.
    pub(crate) fn tell(&self, text: &str, json: &serde_json::Value) {
        match &self.form {
            Form::Bar(bar) => bar.suspend(|| printer::note(text)),
            Form::Lines(_) => printer::note(text),
            Form::Json => printer::note(&json.to_string()),
        }
    }

    fn line(&self, event: &Event, last: &Mutex<Instant>) {
        let counting =
            matches!(event, Event::Downloaded { .. } | Event::Unpacked { .. } | Event::Configuring { .. });
        if counting {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() < LINE_EVERY {
                return;
            }
            *last = Instant::now();
        } else if !matches!(event, Event::Output { .. }) {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        if let Some(text) = self.text(event) {
            printer::note(&text);
        }
    }

    /// The event in words; none for one that is not shown.
    fn text(&self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Phase { architecture, phase } => match architecture {
                Some(architecture) => format!("{architecture}: {}", words(*phase)),
                None => words(*phase).to_owned(),
            },
            Event::Downloaded { files, total_files, bytes, total_bytes } => {
                format!(
                    "fetching {files}/{total_files} files, {} of {}",
                    HumanBytes(*bytes),
                    HumanBytes(*total_bytes)
                )
            }
            Event::Unpacked { architecture, done, total } => {
                format!("{architecture}: unpacked {done}/{total} packages")
            }
            Event::Configuring { architecture, package, done, total } => {
                format!("{architecture}: configuring {package} ({done}/{total})")
            }
            Event::Output { architecture, line } if self.verbose => format!("{architecture}| {line}"),
            Event::LockChanged { change } => format!("lock: {change}"),
            Event::Output { .. } | Event::Artifact { .. } => return None,
            Event::Warning { message } => {
                printer::warning(message);
                return None;
            }
        })
    }
}

impl Events for Shown {
    fn event(&self, event: Event) {
        match &self.form {
            Form::Json => printer::note(&serde_json::to_string(&event).unwrap_or_default()),
            Form::Lines(last) => self.line(&event, last),
            Form::Bar(bar) => match &event {
                Event::Output { .. } | Event::Warning { .. } | Event::LockChanged { .. } => {
                    bar.suspend(|| {
                        if let Some(text) = self.text(&event) {
                            printer::note(&text);
                        }
                    });
                }
                Event::Artifact { .. } => {}
                _ => {
                    if let Some(text) = self.text(&event) {
                        bar.set_message(text);
                    }
                    show_share(bar, &event);
                }
            },
        }
    }
}

fn show_share(bar: &ProgressBar, event: &Event) {
    let share = match event {
        Event::Downloaded { bytes, total_bytes, .. } => Some((*bytes, *total_bytes)),
        Event::Unpacked { done, total, .. } | Event::Configuring { done, total, .. } => {
            Some((*done as u64, *total as u64))
        }
        Event::Phase { .. } => Some((0, 1)),
        _ => None,
    };
    if let Some((done, total)) = share {
        bar.set_length(total.max(1));
        bar.set_position(done.min(total));
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed}] {bar:30} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "resolving packages",
        Phase::Fetch => "fetching packages",
        Phase::Layers => "putting the image's layers together",
        Phase::Unpack => "unpacking packages",
        Phase::Configure => "running maintainer scripts",
        Phase::Steps => "running the recipe's steps",
        Phase::Write => "writing",
    }
}
