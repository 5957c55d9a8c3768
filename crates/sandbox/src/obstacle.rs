//! Why a machine refuses namespaces, and the one thing to do about it.

use std::fmt;
use std::fs;

use rustix::io::Errno;

use crate::Error;

/// A known reason for which namespaces are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Ubuntu 23.10 and later: AppArmor takes all capabilities from namespaces of ordinary users.
    AppArmor,
    /// Debian's and others' switch for ordinary users.
    UnprivilegedClone,
    /// The number of user namespaces is limited to none.
    MaxNamespaces,
    /// A seccomp filter, as container engines install by default.
    Seccomp,
    /// Nothing we know.
    Unknown,
}

/// What the kernel says about itself; `None` where it does not know the switch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    pub(crate) apparmor_restricts: Option<u64>,
    pub(crate) unprivileged_clone: Option<u64>,
    pub(crate) max_user_namespaces: Option<u64>,
    /// 2: this process has a seccomp filter.
    pub(crate) seccomp: Option<u64>,
}

impl Switches {
    pub(crate) fn read() -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            apparmor_restricts: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            unprivileged_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            seccomp: status
                .lines()
                .find_map(|line| line.strip_prefix("Seccomp:"))
                .and_then(|value| value.trim().parse().ok()),
        }
    }

    /// The likeliest reason for which namespaces were refused to this kind of user.
    pub(crate) fn obstacle(&self, root: bool) -> Obstacle {
        if self.max_user_namespaces == Some(0) {
            Obstacle::MaxNamespaces
        } else if !root && self.unprivileged_clone == Some(0) {
            Obstacle::UnprivilegedClone
        } else if !root && self.apparmor_restricts.is_some_and(|value| value != 0) {
            Obstacle::AppArmor
        } else if self.seccomp == Some(2) {
            Obstacle::Seccomp
        } else {
            Obstacle::Unknown
        }
    }
}

impl fmt::Display for Obstacle {
    /// The remedy, as a fragment that follows a semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppArmor => {
                "Ubuntu's AppArmor restricts user namespaces: \
                 run `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            }
            Self::UnprivilegedClone => {
                "user namespaces are switched off for ordinary users: \
                 run `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            }
            Self::MaxNamespaces => {
                "user namespaces are switched off: run `sudo sysctl -w user.max_user_namespaces=15000`"
            }
            Self::Seccomp => {
                "a container's seccomp filter forbids it: start the container with `--privileged`, or with \
                 `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
            }
            Self::Unknown => "run as root, or on a kernel that allows user namespaces",
        })
    }
}

/// The error for namespaces refused.
pub(crate) fn refused(doing: &'static str, errno: Errno) -> Error {
    let remedy = Switches::read().obstacle(rustix::process::geteuid().is_root()).to_string();
    Error::Refused { doing, remedy, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_is_recognised() {
        let open = Switches {
            apparmor_restricts: Some(0),
            unprivileged_clone: Some(1),
            max_user_namespaces: Some(96365),
            seccomp: Some(0),
        };
        let apparmor = Switches { apparmor_restricts: Some(1), ..open };
        let debian = Switches { unprivileged_clone: Some(0), ..open };
        let none = Switches { max_user_namespaces: Some(0), ..apparmor };
        let container = Switches { seccomp: Some(2), ..open };
        let tests = [
            ("nothing known", open, false, Obstacle::Unknown),
            ("no switches at all", Switches::default(), false, Obstacle::Unknown),
            ("Ubuntu", apparmor, false, Obstacle::AppArmor),
            ("Ubuntu does not restrict root", apparmor, true, Obstacle::Unknown),
            ("Debian", debian, false, Obstacle::UnprivilegedClone),
            ("a limit of none comes first", none, false, Obstacle::MaxNamespaces),
            ("a limit of none binds root too", none, true, Obstacle::MaxNamespaces),
            ("container", container, true, Obstacle::Seccomp),
        ];
        for (summary, switches, root, expected) in tests {
            assert_eq!(switches.obstacle(root), expected, "{summary}");
        }
    }
}
