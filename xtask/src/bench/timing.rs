//! Whole processes, timed one after the other, and what many times amount to.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Error;
use crate::step::show;

/// Runs a command from start to end; its output goes to `log`, and its end is shown when it fails.
pub(super) fn once(mut command: Command, log: &Path) -> Result<Duration, Error> {
    let shown = show(&command);
    let file = fs::File::create(log).map_err(Error::io("make a log"))?;
    let second = file.try_clone().map_err(Error::io("share a log"))?;
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    let start = Instant::now();
    let status = command.status().map_err(Error::io(format!("start `{shown}`")))?;
    let time = start.elapsed();
    if status.success() {
        return Ok(time);
    }
    let reason = format!("it ended with {status}; its output ends with\n{}", tail(log));
    Err(Error::Step { step: shown, reason })
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Runs a command that must succeed, silently.
pub(super) fn quietly(command: &mut Command) -> Result<(), Error> {
    let shown = show(command);
    let output = command.output().map_err(Error::io(format!("start `{shown}`")))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Step { step: shown, reason })
}

/// Median, least and most; of an even number of runs the mean of the middle two.
pub(super) fn spread(times: &[Duration]) -> Option<(Duration, Duration, Duration)> {
    let mut sorted = times.to_vec();
    sorted.sort();
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let median = if sorted.len().is_multiple_of(2) { (upper + sorted[middle - 1]) / 2 } else { upper };
    Some((median, *sorted.first()?, *sorted.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let milliseconds =
            |values: &[u64]| values.iter().map(|value| Duration::from_millis(*value)).collect::<Vec<_>>();
        let cases = [
            ("no run", vec![], None),
            ("one run", vec![7], Some([7, 7, 7])),
            ("an odd number", vec![9, 1, 5], Some([5, 1, 9])),
            ("an even number", vec![4, 2, 8, 6], Some([5, 2, 8])),
        ];
        for (summary, times, expected) in cases {
            let found =
                spread(&milliseconds(&times)).map(|(median, least, most)| [median, least, most].to_vec());
            assert_eq!(found, expected.map(|values| milliseconds(&values)), "{summary}");
        }
    }
}
