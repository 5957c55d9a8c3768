//! Finds out that a failure is a full disk, and says which one.

use std::error::Error as _;
use std::io;
use std::path::Path;

use crate::Error;

/// Less than this is a full disk, in bytes: programs in a root report failures in their own words, so that what is left
/// tells more than what they say.
const NOTHING: u64 = 1 << 20;

/// `error`, which happened while `folder` was written to; `choose` is the option that chooses another folder.
pub(crate) fn explain<'a>(folder: &'a Path, choose: &'static str) -> impl Fn(Error) -> Error + 'a {
    move |error| {
        if matches!(error, Error::Interrupted | Error::NoSpace { .. }) || is_about_cache(&error) {
            return error;
        }
        if says_so(&error) || is_full(folder) {
            return Error::NoSpace { folder: folder.into(), choose, source: Box::new(error) };
        }
        error
    }
}

/// The cache's own message names its folder and option already.
fn is_about_cache(error: &Error) -> bool {
    causes(error).any(|cause| matches!(cause.downcast_ref(), Some(cache::Error::NoSpace { .. })))
        || matches!(error, Error::Cache(cache::Error::NoSpace { .. }))
        || matches!(error, Error::Rootfs { source: rootfs::Error::Cache(cache::Error::NoSpace { .. }), .. })
}

fn says_so(error: &Error) -> bool {
    causes(error).any(|cause| {
        let kind = cause.downcast_ref().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    })
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < NOTHING && disk.f_blocks > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> Error {
        Error::io("write", "/x/file")(kind.into())
    }

    #[test]
    fn a_full_disk_is_found_behind_other_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let explain = explain(folder.path(), "`--out`");
        let behind = Error::Rootfs {
            architecture: "amd64".into(),
            source: rootfs::Error::Io {
                action: "write",
                path: "x".into(),
                source: io::ErrorKind::StorageFull.into(),
            },
        };
        let cases = [
            ("a full disk", io_error(io::ErrorKind::StorageFull), true),
            ("a used-up quota", io_error(io::ErrorKind::QuotaExceeded), true),
            ("deeper down", behind, true),
            ("something else", io_error(io::ErrorKind::PermissionDenied), false),
            ("an interruption", Error::Interrupted, false),
        ];
        for (summary, error, expected) in cases {
            let message = explain(error).to_string();
            assert_eq!(
                message.contains("no space left") && message.contains("`--out`"),
                expected,
                "{summary}"
            );
        }
    }
}
