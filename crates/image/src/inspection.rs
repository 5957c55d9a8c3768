//! What one wants to know of a tree or an image: its packages, what takes the room, its layers, how it is run.

use cache::Digest;
use serde::Serialize;
use tree::EntryPath;

use crate::inventory::{Contents, Ecosystem, File, Inventory, LayerFacts, OsRelease, Package, sums};
use crate::sbom::purl;
use crate::{Config, Image, Process};

/// The version of an [`Inspection`] as JSON. Fields may be added to it; anything else makes another version.
pub const FORMAT: u32 = 1;

/// What one wants to know of a tree or an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// [`FORMAT`].
    pub format: u32,
    /// What was looked at, as it was called.
    pub name: String,
    /// The digest of the file, or of the image's manifest; a folder has none.
    pub digest: Option<String>,
    /// The length in bytes of the file, or of all layers of the image as they are stored.
    pub stored: Option<u64>,
    /// Which distribution it is.
    pub release: OsRelease,
    /// What is in it, by number and bytes.
    pub totals: Totals,
    /// What is installed, in the order of [`Package`].
    pub packages: Vec<PackageRow>,
    /// The files that are no package's.
    pub unowned: Share,
    /// The largest files, the largest first.
    pub largest_files: Vec<FileRow>,
    /// The directories with the most bytes beneath them, the fullest first.
    pub largest_directories: Vec<DirectoryRow>,
    /// What only images have.
    pub image: Option<ImageFacts>,
    /// What was there and could not be understood.
    pub notes: Vec<String>,
}

/// What is in a tree, by number and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Files; one with several names counts once.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Directories, without the root.
    pub directories: u64,
    /// Symbolic links.
    pub symbolic_links: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Devices and pipes.
    pub special: u64,
}

/// A part of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many files, links and devices.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRow {
    /// `deb`, `pypi` or `npm`.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's word for the machines it is for.
    pub architecture: Option<String>,
    /// Name and version of what it was built from.
    pub source: Option<String>,
    /// Its licence as an SPDX expression.
    pub licence: Option<String>,
    /// Its package URL.
    pub purl: String,
    /// The file that says it is there.
    pub location: String,
    /// The name of the package that brought it.
    pub part_of: Option<String>,
    /// How many files are its own.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What it says about its size, in bytes.
    pub installed_size: Option<u64>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// Its name.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// The package it belongs to.
    pub package: Option<String>,
}

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirectoryRow {
    /// Its name.
    pub path: String,
    /// The bytes of all files beneath it.
    pub bytes: u64,
    /// How many files, links and devices are beneath it.
    pub files: u64,
}

/// What only images have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFacts {
    /// `linux/amd64` and the like.
    pub platform: String,
    /// The layers, the lowest first.
    pub layers: Vec<LayerFacts>,
    /// When it was made.
    pub created: Option<String>,
    /// How it is run.
    pub config: Process,
}

/// Where a tree comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What it is called.
    pub name: String,
    /// The digest of the file or of the manifest.
    pub digest: Option<Digest>,
    /// The length of the file in bytes.
    pub stored: Option<u64>,
    /// The image and its layers, if it is one.
    pub image: Option<(Image, Vec<LayerFacts>)>,
}

impl Inspection {
    /// What one wants to know of `inventory`, with as many of the largest files and directories as `most` says.
    #[must_use]
    pub fn new(origin: &Origin, inventory: &Inventory, most: usize) -> Self {
        let layers = origin.image.as_ref().map(|(_, layers)| layers.iter().map(|layer| layer.size).sum());
        Self {
            format: FORMAT,
            name: origin.name.clone(),
            digest: origin.digest.as_ref().map(crate::digest::spell),
            stored: layers.or(origin.stored),
            release: inventory.release.clone(),
            totals: totals(&inventory.files),
            packages: inventory.packages.iter().map(|package| row(package, inventory)).collect(),
            unowned: unowned(&inventory.files),
            largest_files: largest_files(inventory, most),
            largest_directories: largest_directories(&inventory.files, most),
            image: origin.image.as_ref().map(|(image, layers)| image_facts(&image.config, layers)),
            notes: inventory.notes.clone(),
        }
    }
}

fn image_facts(config: &Config, layers: &[LayerFacts]) -> ImageFacts {
    ImageFacts {
        platform: config.platform().to_string(),
        layers: layers.to_vec(),
        created: config.created.clone(),
        config: config.config.clone(),
    }
}

fn totals(files: &[File]) -> Totals {
    let mut totals = Totals::default();
    for file in files {
        totals.bytes += file.own_size();
        *match &file.contents {
            Contents::Directory => &mut totals.directories,
            Contents::Regular { first: None, .. } => &mut totals.files,
            Contents::Regular { .. } => &mut totals.hard_links,
            Contents::Symlink { .. } => &mut totals.symbolic_links,
            Contents::CharDevice { .. } | Contents::BlockDevice { .. } | Contents::Fifo => {
                &mut totals.special
            }
        } += 1;
    }
    totals
}

fn unowned(files: &[File]) -> Share {
    let mut share = Share::default();
    for file in files.iter().filter(|file| file.owner.is_none() && !file.is_directory()) {
        share.files += 1;
        share.bytes += file.own_size();
    }
    share
}

fn row(package: &Package, inventory: &Inventory) -> PackageRow {
    PackageRow {
        ecosystem: package.ecosystem,
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        source: package.source.as_ref().map(|source| format!("{} {}", source.name, source.version)),
        licence: package.licence.expression.clone(),
        purl: purl(package, &inventory.release),
        location: package.location.to_string(),
        part_of: name_of(package.part_of, inventory),
        files: package.files,
        bytes: package.size,
        installed_size: package.installed_size,
    }
}

fn name_of(package: Option<usize>, inventory: &Inventory) -> Option<String> {
    Some(inventory.packages.get(package?)?.name.clone())
}

fn largest_files(inventory: &Inventory, most: usize) -> Vec<FileRow> {
    let mut files: Vec<&File> = inventory.files.iter().filter(|file| file.own_size() > 0).collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.own_size()));
    let row = |file: &&File| FileRow {
        path: file.path.to_string(),
        bytes: file.own_size(),
        package: name_of(file.owner, inventory),
    };
    files.iter().take(most).map(row).collect()
}

fn largest_directories(files: &[File], most: usize) -> Vec<DirectoryRow> {
    let own = |file: &File| Share { files: 1, bytes: file.own_size() };
    let mut directories = sums(files, own, add);
    directories.sort_by(|(a, of_a), (b, of_b)| of_b.bytes.cmp(&of_a.bytes).then_with(|| a.cmp(b)));
    let full = directories.into_iter().filter(|(path, share)| share.bytes > 0 && !path.is_root());
    let row = |(path, share): (EntryPath, Share)| DirectoryRow {
        path: path.to_string(),
        bytes: share.bytes,
        files: share.files,
    };
    full.take(most).map(row).collect()
}

fn add(to: &mut Share, share: &Share) {
    to.files += share.files;
    to.bytes += share.bytes;
}
