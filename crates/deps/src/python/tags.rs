//! Which wheels fit a target, and which of them fits best (platform compatibility tags).

use std::collections::HashMap;
use std::fmt;

use super::WheelName;

/// What Python packages run on: CPython of Debian's kind, with glibc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The architecture, by Debian's name.
    pub architecture: String,
    /// Python's version, such as `(3, 13)`.
    pub python: (u32, u32),
    /// glibc's version, such as `(2, 41)`.
    pub glibc: (u32, u32),
}

impl Target {
    /// The architecture as tags call it; none for one that there are no tags for.
    #[must_use]
    pub fn platform(&self) -> Option<&'static str> {
        match self.architecture.as_str() {
            "amd64" => Some("x86_64"),
            "arm64" => Some("aarch64"),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (python, glibc) = (self.python, self.glibc);
        write!(f, "{}, Python {}.{}, glibc {}.{}", self.architecture, python.0, python.1, glibc.0, glibc.1)
    }
}

/// The tags that a target takes, each with its place: the first fits best.
#[derive(Debug)]
pub struct Tags(HashMap<(String, String, String), usize>);

impl Tags {
    /// The tags of a target, in the order of pip.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        let mut tags = Self(HashMap::new());
        let (major, minor) = target.python;
        let platforms = platforms(target);
        let own = format!("cp{major}{minor}");
        for abi in [own.as_str(), "abi3", "none"] {
            tags.add_all(&own, abi, &platforms);
        }
        for older in (2..minor).rev() {
            tags.add_all(&format!("cp{major}{older}"), "abi3", &platforms);
        }
        let generic: Vec<String> = [format!("py{major}{minor}"), format!("py{major}")]
            .into_iter()
            .chain((0..minor).rev().map(|older| format!("py{major}{older}")))
            .collect();
        for python in &generic {
            tags.add_all(python, "none", &platforms);
        }
        let any = ["any".to_owned()];
        tags.add_all(&own, "none", &any);
        for python in &generic {
            tags.add_all(python, "none", &any);
        }
        tags
    }

    fn add_all(&mut self, python: &str, abi: &str, platforms: &[String]) {
        for platform in platforms {
            let place = self.0.len();
            self.0.entry((python.to_owned(), abi.to_owned(), platform.clone())).or_insert(place);
        }
    }

    /// The place of the best tag of a wheel; none when it does not fit. Lower is better.
    #[must_use]
    pub fn place(&self, wheel: &WheelName) -> Option<usize> {
        let mut best: Option<usize> = None;
        for python in &wheel.pythons {
            for abi in &wheel.abis {
                for platform in &wheel.platforms {
                    let key = (python.clone(), abi.clone(), platform.clone());
                    let place = self.0.get(&key).copied();
                    best = best.into_iter().chain(place).min();
                }
            }
        }
        best
    }
}

/// The platforms of a target: those of the newest glibc first, the machine's own without a promise last.
fn platforms(target: &Target) -> Vec<String> {
    let Some(machine) = target.platform() else { return Vec::new() };
    // What the first wheels of an architecture were built against (PEP 513, PEP 599, PEP 600).
    let oldest = if machine == "x86_64" { 5 } else { 17 };
    let mut platforms = Vec::new();
    for minor in (oldest..=target.glibc.1).rev() {
        platforms.push(format!("manylinux_2_{minor}_{machine}"));
        let legacy = match minor {
            17 => Some("manylinux2014"),
            12 => Some("manylinux2010"),
            5 => Some("manylinux1"),
            _ => None,
        };
        platforms.extend(legacy.map(|name| format!("{name}_{machine}")));
    }
    platforms.push(format!("linux_{machine}"));
    platforms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(architecture: &str, wheels: &[&str]) -> Option<String> {
        let target = Target { architecture: architecture.into(), python: (3, 13), glibc: (2, 41) };
        let tags = Tags::of(&target);
        let place = |file: &&&str| tags.place(&WheelName::parse(file).expect("a wheel"));
        let fitting = wheels.iter().filter(|file| place(file).is_some());
        fitting.min_by_key(place).map(|file| (*file).to_owned())
    }

    #[test]
    fn the_best_wheel() {
        let all = [
            "a-1-py3-none-any.whl",
            "a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_34_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_42_x86_64.whl",
            "a-1-cp38-abi3-manylinux2014_aarch64.whl",
            "a-1-cp313-cp313t-manylinux_2_34_aarch64.whl",
            "a-1-cp313-cp313-musllinux_1_2_aarch64.whl",
            "a-1-cp314-cp314-manylinux2014_aarch64.whl",
            "a-1-cp313-cp313-macosx_11_0_arm64.whl",
        ];
        assert_eq!(best("amd64", &all).as_deref(), Some(all[2]));
        assert_eq!(best("arm64", &all).as_deref(), Some(all[4]));
        assert_eq!(best("arm64", &all[..4]).as_deref(), Some(all[0]));
        assert_eq!(best("arm64", &all[1..4]), None);
        assert_eq!(best("amd64", &["a-1-cp314-abi3-manylinux1_x86_64.whl"]), None);
    }
}
