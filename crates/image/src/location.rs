//! Where an image is, in words on a command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Reference, ReferenceSyntax};

/// Where an image is read from or written to. The spellings are those of `containers-transports(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `docker://REFERENCE`, or a reference alone: a registry.
    Registry(Reference),
    /// `oci:FOLDER[:TAG]`: an OCI image layout.
    Layout {
        /// The folder.
        path: PathBuf,
        /// Which image in it; the only one when none.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: a tar of an OCI image layout.
    LayoutTar {
        /// The file.
        path: PathBuf,
        /// Which image in it; the only one when none.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:REFERENCE]`: what `docker save` writes.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// Which image in it; the only one when none.
        tag: Option<String>,
    },
}

impl Location {
    /// As a location on the command line: what is a path (it begins with `.` or `/`, or is there) is looked at to see what
    /// it is, anything else is read as by [`FromStr`].
    ///
    /// # Errors
    /// [`ReferenceSyntax`].
    pub fn guess(text: &str) -> Result<Self, ReferenceSyntax> {
        let path = Path::new(text);
        if text.contains("://") || !(text.starts_with(['.', '/']) || path.exists()) {
            return text.parse();
        }
        let path = path.to_owned();
        if !path.is_file() {
            return Ok(Self::Layout { path, tag: None });
        }
        // Both kinds of tar may be compressed and are told apart by what is in them when they are opened; the names of the
        // newer one are in either.
        Ok(Self::LayoutTar { path, tag: None })
    }

    /// The folder or file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Registry(_) => None,
            Self::Layout { path, .. } | Self::LayoutTar { path, .. } | Self::DockerArchive { path, .. } => {
                Some(path)
            }
        }
    }
}

impl FromStr for Location {
    type Err = ReferenceSyntax;

    fn from_str(text: &str) -> Result<Self, ReferenceSyntax> {
        let parts = |rest: &str| match rest.split_once(':') {
            Some((path, tag)) => (PathBuf::from(path), Some(tag.to_owned()).filter(|tag| !tag.is_empty())),
            None => (PathBuf::from(rest), None),
        };
        if let Some(rest) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(rest.parse()?));
        }
        for (prefix, make) in [
            ("oci:", (|path, tag| Self::Layout { path, tag }) as fn(PathBuf, Option<String>) -> Self),
            ("oci-archive:", |path, tag| Self::LayoutTar { path, tag }),
            ("docker-archive:", |path, tag| Self::DockerArchive { path, tag }),
        ] {
            let Some(rest) = text.strip_prefix(prefix) else { continue };
            let (path, tag) = parts(rest);
            if path.as_os_str().is_empty() {
                let why = format!("`{prefix}` is followed by a path");
                return Err(ReferenceSyntax { text: text.to_owned(), why });
            }
            return Ok(make(path, tag));
        }
        Ok(Self::Registry(text.parse()?))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, path, tag) = match self {
            Self::Registry(reference) => return reference.fmt(f),
            Self::Layout { path, tag } => ("oci:", path, tag),
            Self::LayoutTar { path, tag } => ("oci-archive:", path, tag),
            Self::DockerArchive { path, tag } => ("docker-archive:", path, tag),
        };
        write!(f, "{prefix}{}", path.display())?;
        tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        for (text, shown) in [
            ("docker://ghcr.io/a/b:1", "ghcr.io/a/b:1"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
            ("oci:dist/image", "oci:dist/image"),
            ("oci:/a/b:v1", "oci:/a/b:v1"),
            ("oci-archive:x.tar:latest", "oci-archive:x.tar:latest"),
            ("docker-archive:x.tar:app:1", "docker-archive:x.tar:app:1"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), shown, "{text}");
        }
        for bad in ["oci:", "oci-archive::x", "docker://", "Not A Reference"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}
