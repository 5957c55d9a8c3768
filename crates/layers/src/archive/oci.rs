//! Layers of OCI images (OCI image specification 1.1, `layer.md`).

use std::io::{Read, Write};

use tree::layer::{Mark, Packing, Spelling, pack_layer};
use tree::tar::{self, Limits, Writer};

use super::names::OciNames;
use super::read::pass_on;
use super::{Problem, Sink, Source, threads};

/// Writes a layer as the tar of an OCI layer and gives the sink back, with how many entries there are.
///
/// # Errors
/// [`tree::Error::WhiteoutName`] for names that begin with `.wh.`; whatever reading and writing say.
pub fn write_oci<W: Write>(layer: &Source<'_>, sink: W) -> Result<(W, u64), Problem> {
    let mut writer = Writer::new(sink);
    let packing = Packing { marks: layer.marks, spelling: Spelling::Oci, prefix: b"", threads: threads() };
    let packed = pack_layer(&layer.root, &packing, &mut writer)?;
    Ok((writer.finish()?, packed.entries))
}

/// Reads the tar of an OCI layer into `sink`.
///
/// # Errors
/// [`Problem::Mark`]; what is wrong with the tar; what `sink` says.
pub fn read_oci<R: Read>(source: R, limits: Limits, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut tar = tar::Reader::with_limits(source, limits);
    let mut names = OciNames(Mark::Entry);
    while let Some(member) = tar.next_named(&mut names)? {
        pass_on(&mut tar, member, names.0, sink)?;
    }
    Ok(())
}
