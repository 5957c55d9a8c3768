use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::io::Errno;

use crate::Error;

/// The exit code with which a program that stands for the command ends, as shells and container engines do it.
///
/// The command's own; 128 and the signal's number when a signal ended it; 127 when it was not found, 126 when it
/// cannot be executed; 125 for every other failure of ours.
#[must_use]
pub fn exit_code(outcome: &Result<ExitStatus, Error>) -> u8 {
    let code = match outcome {
        Ok(status) => status.code().or_else(|| status.signal().map(|signal| 128 + signal)),
        Err(Error::Exec { source, .. }) => match Errno::from_io_error(source) {
            Some(Errno::NOENT | Errno::NOTDIR) => Some(127),
            _ => Some(126),
        },
        Err(_) => None,
    };
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(125)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_shells() {
        let exec =
            |errno: Errno| Err(Error::Exec { program: "x".into(), root: "/".into(), source: errno.into() });
        let tests = [
            ("success", Ok(ExitStatus::from_raw(0)), 0),
            ("code 255", Ok(ExitStatus::from_raw(255 << 8)), 255),
            ("SIGKILL", Ok(ExitStatus::from_raw(9)), 137),
            ("SIGSEGV with core", Ok(ExitStatus::from_raw(11 | 0x80)), 139),
            ("missing", exec(Errno::NOENT), 127),
            ("below a file", exec(Errno::NOTDIR), 127),
            ("not executable", exec(Errno::ACCESS), 126),
            ("no program", exec(Errno::NOEXEC), 126),
            ("cancelled", Err(Error::Cancelled), 125),
        ];
        for (summary, outcome, code) in tests {
            assert_eq!(exit_code(&outcome), code, "{summary}");
        }
    }
}
