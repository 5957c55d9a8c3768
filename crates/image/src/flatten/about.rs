//! What an image says about how it is run, as a file in its own tree: the plain export of a container loses it.

use serde::Serialize;
use tree::{Entry, Kind, Metadata};

use super::Flattened;
use crate::{Config, Image, Process, Result};

/// Where the file is in the tree.
pub const DESCRIPTION: &str = "etc/ovmlayer/image.json";

/// The version of the file's form. Another one may change the meaning of what is there, not only add to it.
const FORMAT: u32 = 1;

/// The file.
#[derive(Serialize)]
struct Description<'a> {
    format: u32,
    os: &'a str,
    architecture: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    config: &'a Process,
}

impl Flattened {
    /// Adds [`DESCRIPTION`]: environment, user, working directory, labels, entry point, command, ports, volumes and stop
    /// signal of the image. It is owned by root, has mode 0644, and `time`; without one, the latest of the image's own time
    /// and those of all entries. What says nothing of how the image was compressed or where it was, is the same for the
    /// same image.
    ///
    /// # Errors
    /// [`crate::Error::Add`] when `etc` is no place for files in this image.
    pub fn describe(&mut self, image: &Image, time: Option<i64>) -> Result<()> {
        let text = text(&image.config);
        let time = time.unwrap_or_else(|| self.newest().max(created(&image.config)));
        let entry = Entry {
            path: DESCRIPTION.parse()?,
            kind: Kind::File { size: text.len() as u64 },
            metadata: Metadata::new(0o644, time),
        };
        self.add(entry, &mut &text[..])
    }
}

fn text(config: &Config) -> Vec<u8> {
    let Config { created, author, architecture, os, variant, config: process, .. } = config;
    let description = Description {
        format: FORMAT,
        os,
        architecture,
        variant: variant.as_deref(),
        created: created.as_deref(),
        author: author.as_deref(),
        config: process,
    };
    // Strings, numbers, and maps with strings as keys: there is nothing in them that JSON could not say.
    let mut text = serde_json::to_vec_pretty(&description).unwrap_or_default();
    text.push(b'\n');
    text
}

/// When the image says it was made, in seconds since 1970; 0 when it says nothing that is a time.
fn created(config: &Config) -> i64 {
    let time = config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.map_or(0, |time| time.as_second().max(0))
}
