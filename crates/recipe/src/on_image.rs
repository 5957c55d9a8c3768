//! Images on top of another image: its layers stay what they are, and what the steps change comes in layers above them.

use std::sync::Arc;

use image::Image;
use image::build::changes_between;
use image::flatten::Flattened;
use rootfs::Scripts;
use sandbox::IdMap;
use tree::layer::Change;
use tree::{Entry, EntryPath, Kind, Links, Root};

use crate::about::Made;
use crate::build::{Artifact, Forward, Session};
use crate::distro::machine_architecture;
use crate::events::Phase;
use crate::foreign::Emulation;
use crate::format::Step;
use crate::image::{ImageOutput, Packed};
use crate::image_base::ImageBase;
use crate::layering::Part;
use crate::lock::Package;
use crate::output::Shape;
use crate::place::Place;
use crate::plan::Plan;
use crate::resolve::Resolver;
use crate::space::explain;
use crate::steps::{Slim, Stage};
use crate::{Error, epoch};

/// An image for one architecture that ours is put on.
struct Parent {
    architecture: String,
    image: Image,
    tree: Flattened,
}

/// Builds the image of a recipe that has a parent.
pub(crate) fn build(base: &ImageBase<'_>, ids: &IdMap) -> Result<Vec<Artifact>, Error> {
    let in_out = explain(&base.options.out, "`--out`");
    let mut output = ImageOutput::begin(base.found, base.options).map_err(&in_out)?;
    let mut parents = Vec::new();
    let lock = base.each(|architecture, source, image, tree| {
        output.take(source, &image).map_err(&in_out)?;
        parents.push(Parent { architecture: architecture.to_owned(), image, tree });
        Ok(())
    })?;
    let tools = tools(base, &parents, ids)?;
    for parent in parents {
        Work { base, ids, tools: &tools }.build(parent, &mut output)?;
    }
    let made = Made::of_image(&lock)?;
    let pending = output.finish(made, base.session.interrupt.flag()).map_err(&in_out)?;
    base.conclude(&lock, pending)
}

/// The packages that are needed to run programs of foreign architectures.
fn tools(base: &ImageBase<'_>, parents: &[Parent], ids: &IdMap) -> Result<Vec<Package>, Error> {
    let mut needed = false;
    for parent in parents.iter().filter(|parent| parent.architecture != machine_architecture()) {
        needed |= runs_programs(base) && Emulation::needs_package(&parent.architecture, ids)?;
    }
    if !needed {
        return Ok(Vec::new());
    }
    let origin = &base.options.origin;
    let plan = Plan::new(base.found, origin)?;
    let resolver = Resolver::new(base.session, &plan, origin)?;
    let tools = resolver.tools()?;
    resolver.download(&tools.iter().collect::<Vec<_>>())?;
    Ok(tools)
}

fn runs_programs(base: &ImageBase<'_>) -> bool {
    base.found.recipe.steps.iter().any(|step| matches!(step, Step::Run(_) | Step::Users(_)))
}

/// What the images of all architectures share.
struct Work<'a> {
    base: &'a ImageBase<'a>,
    ids: &'a IdMap,
    tools: &'a [Package],
}

impl Work<'_> {
    fn build(&self, mut parent: Parent, output: &mut ImageOutput<'_>) -> Result<(), Error> {
        let Session { cache, interrupt, .. } = self.base.session;
        let (options, architecture) = (self.base.options, parent.architecture.as_str());
        let place = Place::new(
            cache.root(),
            options.build_dir.as_deref(),
            architecture,
            2 * parent.tree.size(),
            self.ids,
        )?;
        let folder = place.root().to_owned();
        let in_build = explain(&folder, "`--build-dir`");
        parent
            .tree
            .unpack(&Root::open(&folder, Links::Refuse)?, interrupt.flag())
            .map_err(Error::from)
            .map_err(&in_build)?;
        let epoch = epoch::of_environment()?.unwrap_or_else(|| parent.tree.newest());
        let _emulation = runs_programs(self.base)
            .then(|| Emulation::start(cache, architecture, &self.tools.iter().collect::<Vec<_>>(), self.ids))
            .transpose()?;
        self.base.session.phase(Some(architecture), Phase::Steps);
        let layers = self.layers(&Root::open(&folder, Links::WithinRoot)?, &folder, &parent, epoch, output);
        output.add_on(architecture, &parent.image, layers.map_err(&in_build)?, epoch)?;
        place.close()
    }

    /// Carries out the recipe's steps in `root`; a layer for each kind of step that changed something.
    fn layers(
        &self,
        root: &Root,
        folder: &std::path::Path,
        parent: &Parent,
        epoch: i64,
        output: &ImageOutput<'_>,
    ) -> Result<Vec<Packed>, Error> {
        let (session, found) = (self.base.session, self.base.found);
        let progress = Arc::new(Forward::new(session, &parent.architecture));
        let scripts = Scripts::new(folder, epoch, session.interrupt.clone(), progress);
        let stage = Stage { recipe: &found.name, folder: &found.folder(), root, scripts: &scripts, epoch };
        let slim = Slim::new(&found.name, &found.recipe.steps)?;
        let shape = Shape {
            epoch,
            leave_out: &|path: &EntryPath| slim.leaves_out(path),
            threads: self.base.options.jobs(),
            interrupted: session.interrupt.flag(),
        };
        let mut below = entries(root, &|_| false)?;
        let mut layers = Vec::new();
        let mut note = |kind: &'static str| {
            let now = entries(root, shape.leave_out)?;
            let mut changes = changes_between(&below, &now, same);
            below = now;
            if changes.is_empty() {
                return Ok(());
            }
            changes.iter_mut().for_each(|change| clamp(change, epoch));
            layers.push(output.pack(root, Part { origin: kind.to_owned(), changes }, &shape)?);
            Ok::<_, Error>(())
        };
        stage.carry_out(&found.recipe.steps, &mut note)?;
        // What no step after it has noticed.
        note("slim")?;
        Ok(layers)
    }
}

/// What is in `root`, with the times it has there.
fn entries(root: &Root, leave_out: &dyn Fn(&EntryPath) -> bool) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut scan = root.scan();
    while let Some(entry) = scan.next() {
        let entry = entry?;
        if leave_out(&entry.path) {
            scan.leave_out();
        } else {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Whether nobody touched an entry. A file that was written has another time than the image's, which lies in the past. The
/// time of a directory changes with every file in it.
fn same(before: &Entry, after: &Entry) -> bool {
    let (a, b) = (&before.metadata, &after.metadata);
    let time = |entry: &Entry| (entry.metadata.mtime, entry.metadata.mtime_nanos);
    before.kind == after.kind
        && (a.mode, a.uid, a.gid, &a.xattrs) == (b.mode, b.uid, b.gid, &b.xattrs)
        && (before.kind == Kind::Directory || time(before) == time(after))
}

fn clamp(change: &mut Change, epoch: i64) {
    match change {
        Change::Added(entry) | Change::Opaque(entry) => entry.metadata.clamp_mtime(epoch),
        Change::Whiteout(_) => {}
    }
}
