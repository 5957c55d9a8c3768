//! Names of wheels (binary distribution format, "File name convention").

/// What the name of a wheel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// The project, as the name spells it.
    pub project: String,
    /// Its version.
    pub version: String,
    /// The build number, which decides between wheels that fit equally: higher is better. 0 when none is given.
    pub build: u64,
    /// Interpreters, such as `cp313`.
    pub pythons: Vec<String>,
    /// ABIs, such as `abi3`.
    pub abis: Vec<String>,
    /// Platforms, such as `manylinux_2_17_x86_64`.
    pub platforms: Vec<String>,
}

impl WheelName {
    /// Reads a file name; none when it is not that of a wheel.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
        let (project, version, build, tags) = match parts.as_slice() {
            [project, version, tags @ ..] if tags.len() == 3 => (project, version, None, tags),
            [project, version, build, tags @ ..] if tags.len() == 3 => (project, version, Some(build), tags),
            _ => return None,
        };
        let build = match build {
            Some(build) => {
                let digits = build.find(|c: char| !c.is_ascii_digit()).unwrap_or(build.len());
                build[..digits].parse().ok()?
            }
            None => 0,
        };
        let plain = |part: &&str| !part.is_empty() && !part.contains(['/', '\\', '\0']);
        if !parts.iter().all(plain) {
            return None;
        }
        let set = |tags: &str| tags.split('.').map(str::to_owned).collect();
        Some(Self {
            project: (*project).to_owned(),
            version: (*version).to_owned(),
            build,
            pythons: set(tags[0]),
            abis: set(tags[1]),
            platforms: set(tags[2]),
        })
    }

    /// Whether the wheel is for every architecture.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.platforms.iter().any(|platform| platform == "any")
    }
}

/// The one spelling of a project's name (core metadata, "Name normalization").
#[must_use]
pub fn normalized(name: &str) -> String {
    let mut spelled = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if spelled.ends_with('-') => {}
            '-' | '_' | '.' => spelled.push('-'),
            other => spelled.extend(other.to_lowercase()),
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = WheelName::parse("a_b-1.0-2x-py2.py3-none-any.whl").expect("a wheel");
        assert_eq!((name.project.as_str(), name.version.as_str(), name.build), ("a_b", "1.0", 2));
        assert_eq!((name.pythons.len(), name.is_any()), (2, true));
        let native = "uv-0.1-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        assert!(!WheelName::parse(native).expect("a wheel").is_any());
        for bad in ["a-1.tar.gz", "a-1-py3-none.whl", "a-1-x-py3-none-any.whl", "../a-1-py3-none-any.whl"] {
            assert_eq!(WheelName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_project_has_one_name() {
        assert_eq!(normalized("Foo.__-bar"), "foo-bar");
    }
}
