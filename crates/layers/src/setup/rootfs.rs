//! Unpacking a root filesystem.

use std::fs::{self, File};
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tree::codec::{self, Format};
use tree::{EntryPath, Kind, Links, Metadata, Root, tar};

use crate::layer::sync_tree;
use crate::usage::is_mount_point;
use crate::{Error, Result, record, staging};

/// What the names of folders begin with that are being unpacked to.
const UNFINISHED: &str = ".ovmlayer-unpacking-";

/// Whether there is a complete root filesystem at `path`. What an interrupted unpacking has left is removed.
pub(super) fn is_there(path: &Path) -> Result<bool> {
    for folder in path.parent().into_iter().chain([path]) {
        if folder == path && !path.is_dir() {
            continue;
        }
        let left: Vec<PathBuf> = staging::names(folder)?
            .into_iter()
            .filter(|name| name.to_string_lossy().starts_with(UNFINISHED))
            .map(|name| folder.join(name))
            .collect();
        if folder == path && !left.is_empty() {
            // It is a mount point, which cannot be replaced in one step; what is in it is not complete.
            for name in staging::names(path)? {
                staging::remove_tree(&path.join(name))?;
            }
            return Ok(false);
        }
        for path in left {
            staging::remove_tree(&path)?;
        }
    }
    match fs::symlink_metadata(path) {
        Ok(status) if status.is_symlink() || status.is_dir() => Ok(!staging::names(path)?.is_empty()),
        Ok(_) => Err(Error::io("use", path)(Errno::NOTDIR)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// Unpacks a tar, plain or compressed, to the folder `path`, which is missing or empty. It appears there complete, in
/// one step. Gives what the user should know.
pub(super) fn unpack(archive: &Path, path: &Path) -> Result<Option<String>> {
    // Of a link, what it leads to is filled.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let within = is_mount_point(&path);
    let parent = if within { path.as_path() } else { path.parent().unwrap_or(Path::new("/")) };
    let draft = Draft(parent.join(format!("{UNFINISHED}{}", record::random_name())));
    fs::create_dir(&draft.0).map_err(Error::io("create the folder", &draft.0))?;
    let left_out = extract(archive, &draft.0)?;
    sync_tree(&draft.0)?;
    if within {
        // While the folder that was unpacked to is there, this is not complete.
        for name in staging::names(&draft.0)? {
            let target = path.join(&name);
            fs::rename(draft.0.join(&name), &target).map_err(Error::io("create", &target))?;
        }
        let status = fs::metadata(&draft.0).map_err(Error::io("look at", &draft.0))?;
        fs::set_permissions(&path, status.permissions()).map_err(Error::io("give its mode to", &path))?;
    } else {
        fs::rename(&draft.0, &path).map_err(Error::io("create", &path))?;
    }
    drop(draft);
    record::sync_folder(parent)?;
    Ok((left_out > 0).then(|| {
        format!("{left_out} device nodes of the root filesystem were left out: `run` provides devices")
    }))
}

/// A folder that is unpacked to, removed unless it was renamed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = staging::remove_tree(&self.0);
    }
}

/// Extracts all members; gives how many device nodes were left out.
fn extract(archive: &Path, target: &Path) -> Result<u64> {
    let open = Error::io("open", archive);
    let mut file = File::open(archive).map_err(open)?;
    let mut start = Vec::new();
    file.by_ref().take(16).read_to_end(&mut start).map_err(Error::io("read", archive))?;
    file.rewind().map_err(Error::io("read", archive))?;
    let source = BufReader::with_capacity(1 << 17, file);
    let plain = codec::decoder(Format::sniff(&start), source).map_err(Error::io("read", archive))?;
    let failed = || Error::tree("unpack", archive);
    let mut reader = tar::Reader::new(plain);
    // Images whose `/bin` is a link to `usr/bin` may have members below `/bin`.
    let root = Root::open(target, Links::WithinRoot).map_err(failed())?;
    let mut directories: Vec<(EntryPath, Metadata)> = Vec::new();
    let mut left_out = 0;
    let parents = Metadata::new(0o755, 0);
    while let Some(tar::Member { entry, .. }) = reader.next().map_err(failed())? {
        let (path, metadata) = (&entry.path, &entry.metadata);
        root.make_parents(path, &parents).map_err(failed())?;
        if !matches!(entry.kind, Kind::Directory) && !path.is_root() {
            // A later member of the same name holds.
            root.remove_file(path).map_err(failed())?;
        }
        match &entry.kind {
            Kind::Directory => {
                root.make_dir(path, metadata).map_err(failed())?;
                directories.push((path.clone(), metadata.clone()));
            }
            Kind::File { .. } => {
                root.write_file(path, metadata, &mut reader.data()).map_err(failed())?;
            }
            Kind::Symlink { target } => root.symlink(path, target, metadata).map_err(failed())?,
            Kind::HardLink { target } => root.hard_link(path, target).map_err(failed())?,
            Kind::Fifo => root.make_fifo(path, metadata).map_err(failed())?,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => left_out += 1,
        }
    }
    // What is created in a directory changes its time; the inner ones come first.
    directories.sort_by(|(one, _), (other, _)| other.cmp(one));
    for (path, metadata) in &directories {
        root.set_metadata(path, metadata).map_err(failed())?;
    }
    if !directories.iter().any(|(path, _)| path.is_root()) {
        root.set_metadata(&EntryPath::ROOT, &parents).map_err(failed())?;
    }
    Ok(left_out)
}
