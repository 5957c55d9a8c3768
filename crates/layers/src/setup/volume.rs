//! A file system for the runtime store that layers can be mounted from.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::mount::MountFlags;
use sandbox::file_system::{self, Abilities};
use sandbox::overlay::Xattrs;

use crate::store::{Form, LAYERS};
use crate::usage::is_mount_point;
use crate::{Error, Result, Volume, staging};

/// How large a disk image can grow, in bytes: it takes up what is in it only.
const DISK_SIZE: u64 = 1 << 40;

/// What can be kept in a folder, tried beneath it.
pub(super) fn abilities(folder: &Path) -> Result<Abilities> {
    file_system::abilities(folder)
        .map_err(Error::sandbox(format!("try out the folder `{}`", folder.display())))
}

/// The form of marks that a folder can keep; `user.` if none, for then layers are kept as archives there.
pub(super) fn kept_form(abilities: &Abilities) -> Form {
    if abilities.trusted_xattrs && !abilities.user_xattrs { Form::Trusted } else { Form::User }
}

/// Makes sure that layers can be mounted from `runtime`, and says what has to be mounted there for it and in which form
/// marks are kept.
pub(super) fn choose(
    runtime: &Path,
    disk: Option<&Path>,
    before: Option<Volume>,
    is_root: bool,
    notes: &mut Vec<String>,
) -> Result<(Option<Volume>, Form)> {
    // What was decided before still holds: the layers are in it.
    if let Some(volume) = before {
        let form = provide(&volume, runtime)?;
        if disk.is_some_and(|disk| volume != Volume::Disk(disk.to_owned())) {
            notes.push(format!("`{}` has its layers in the volume of an earlier setup", runtime.display()));
        }
        return Ok((Some(volume), form));
    }
    let form = mountable(runtime)?;
    let has_layers = !staging::names(&runtime.join(LAYERS))?.is_empty();
    if let Some(form) = form
        && (disk.is_none() || has_layers)
    {
        if disk.is_some() {
            notes
                .push(format!("`{}` has layers already: they are used, no disk image is", runtime.display()));
        }
        return Ok((None, form));
    }
    if !is_root {
        return Err(unsuitable(
            runtime,
            "overlayfs cannot write to its file system, and a disk image takes root",
        ));
    }
    let kind = file_system::file_system(runtime).map_or("unknown", |found| found.kind);
    let image = disk.map_or_else(|| beside(runtime), Path::to_owned);
    let refused = match provide(&Volume::Disk(image.clone()), runtime) {
        Ok(form) => {
            if disk.is_none() {
                notes.push(format!(
                    "overlayfs cannot write to `{}` ({kind}): its layers are kept in the disk image `{}`",
                    runtime.display(),
                    image.display()
                ));
            }
            return Ok((Some(Volume::Disk(image)), form));
        }
        Err(error) => chain(&error),
    };
    if let Some(form) = form {
        notes.push(format!(
            "without the disk image `{}`, layers are kept in the folder: {refused}",
            image.display()
        ));
        return Ok((None, form));
    }
    match provide(&Volume::Memory, runtime) {
        Ok(form) => {
            notes.push(format!(
                "overlayfs cannot write to `{}` ({kind}), nor is a disk image possible ({refused}): layers are kept in \
                 memory and are gone after a restart",
                runtime.display()
            ));
            Ok((Some(Volume::Memory), form))
        }
        Err(error) => Err(unsuitable(
            runtime,
            &format!(
                "overlayfs cannot write to its file system ({kind}); a disk image: {refused}; memory: {}",
                chain(&error)
            ),
        )),
    }
}

fn unsuitable(path: &Path, why: &str) -> Error {
    Error::Unsuitable { path: path.to_owned(), why: why.to_owned() }
}

/// The form in which layers can be mounted from a folder, if they can.
fn mountable(folder: &Path) -> Result<Option<Form>> {
    Ok(abilities(folder)?.xattrs().map(|xattrs| match xattrs {
        Xattrs::User => Form::User,
        Xattrs::Trusted => Form::Trusted,
    }))
}

/// Mounts a volume, made if it is missing, and tries whether layers can be mounted from it.
fn provide(volume: &Volume, runtime: &Path) -> Result<Form> {
    if let Volume::Disk(image) = volume
        && !image.exists()
    {
        if let Some(parent) = image.parent() {
            fs::create_dir_all(parent).map_err(Error::io("create the folder", parent))?;
        }
        sandbox::disk::create(image, DISK_SIZE).map_err(Error::sandbox("make a disk image"))?;
    }
    attach(volume, runtime)?;
    mountable(runtime)?.ok_or_else(|| unsuitable(runtime, "it cannot be written to by overlayfs"))
}

/// Mounts a volume at the runtime store unless it is mounted.
pub(crate) fn attach(volume: &Volume, runtime: &Path) -> Result<()> {
    let doing = || format!("mount the volume of `{}`", runtime.display());
    match volume {
        // It looks for itself whether the image is mounted.
        Volume::Disk(image) => sandbox::disk::mount(image, runtime).map_err(Error::sandbox(doing())),
        Volume::Memory => {
            // The folder that is hidden by the mount is the same for all who come at once.
            let below = File::open(runtime).map_err(Error::io("open", runtime))?;
            flock(&below, FlockOperation::LockExclusive).map_err(Error::io("lock", runtime))?;
            if is_mount_point(runtime) {
                return Ok(());
            }
            rustix::mount::mount(c"ovmlayer", runtime, c"tmpfs", MountFlags::empty(), c"mode=0755")
                .map_err(Error::io("mount memory at", runtime))
        }
    }
}

/// The disk image of a store that nobody has named.
fn beside(runtime: &Path) -> PathBuf {
    let mut name = runtime.file_name().map_or_else(|| OsString::from("ovmlayer"), OsString::from);
    name.push(".disk.img");
    runtime.with_file_name(name)
}

/// An error with its causes, for a note.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
