//! The zips of a package as one artifact of an OCI registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use image::artifact::{self, TITLE};
use image::{Descriptor, Platform, Target};

use crate::publish::Part;
use crate::{PackageId, Result, zip_name};

/// What kind of artifact this is.
pub const ARTIFACT_TYPE: &str = "application/vnd.oomol.package-layer.v1";
/// The type of its files.
const ZIP: &str = "application/zip";

/// What an artifact is called that has a name and a version (image specification, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";

/// Reads a file from its beginning, whatever others read of it.
struct FromStart {
    file: Arc<File>,
    position: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Stores `parts` in `target` under `tags`: an index with a manifest for each architecture, whose only layer is the zip.
/// Returns the index, the same for the same zips. The tags come last.
///
/// # Errors
/// [`Error::Image`](crate::Error::Image).
pub fn store(
    target: &dyn Target,
    package: &PackageId,
    parts: &[Part],
    tags: &[String],
) -> Result<Descriptor> {
    let openers: Vec<_> = parts
        .iter()
        .map(|part| {
            let file = Arc::clone(part.export.file());
            move || -> image::Result<Box<dyn Read + Send>> {
                Ok(Box::new(FromStart { file: Arc::clone(&file), position: 0 }))
            }
        })
        .collect();
    let parts: Vec<_> = parts
        .iter()
        .zip(&openers)
        .map(|(part, open)| artifact::Part {
            platform: Platform::linux(part.architecture),
            blob: Descriptor {
                annotations: BTreeMap::from([(TITLE.to_owned(), zip_name(part.architecture))]),
                ..Descriptor::new(ZIP, *part.export.digest(), part.export.size())
            },
            open,
        })
        .collect();
    let annotations = BTreeMap::from([
        (NAME.to_owned(), package.name().to_owned()),
        (VERSION.to_owned(), package.version().to_owned()),
    ]);
    Ok(artifact::store(target, ARTIFACT_TYPE, &parts, &annotations, tags)?)
}
