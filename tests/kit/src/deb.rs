//! Packages made in memory, well formed or hostile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compression::Compression;
use crate::expanding;
use crate::tar::{Content, Member, MemberKind, find_file, write_archive};
use crate::tool::{run, tool};

/// Time of every member unless said otherwise: 2024-01-01 00:00:00 UTC.
pub(crate) const DEFAULT_MTIME: u64 = 1_704_067_200;

/// Makes a `.deb` in a few lines.
///
/// Paths given to [`file`](Self::file) and its like are names inside the package without a leading `/`; the folders
/// above them are added as `dpkg-deb` would. Everything belongs to root unless said otherwise. Hostile packages use
/// [`member`](Self::member), which writes a name as it is.
#[derive(Debug, Clone)]
pub struct DebBuilder {
    fields: Vec<(String, String)>,
    control: Vec<Member>,
    data: Vec<Member>,
    folders: BTreeSet<String>,
    conffiles: String,
    control_compression: Compression,
    data_compression: Compression,
    mtime: u64,
    bomb: Option<(String, u64)>,
    outer: Vec<(String, Vec<u8>)>,
    format: Vec<u8>,
}

impl DebBuilder {
    /// A package for amd64 without files; both of its tars are compressed with xz, as Debian's are.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        let fields = [
            ("Package", name),
            ("Version", version),
            ("Architecture", "amd64"),
            ("Maintainer", "Nobody <nobody@example.org>"),
            ("Description", "package made for a test"),
        ];
        Self {
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            control: Vec::new(),
            data: Vec::new(),
            folders: BTreeSet::new(),
            conffiles: String::new(),
            control_compression: Compression::Xz,
            data_compression: Compression::Xz,
            mtime: DEFAULT_MTIME,
            bomb: None,
            outer: Vec::new(),
            format: b"2.0\n".to_vec(),
        }
    }

    /// Sets a control field, or replaces it.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some(field) => value.clone_into(&mut field.1),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Leaves a control field out.
    #[must_use]
    pub fn without_field(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Sets `Architecture`.
    #[must_use]
    pub fn architecture(self, architecture: &str) -> Self {
        self.field("Architecture", architecture)
    }

    /// Sets `Depends`.
    #[must_use]
    pub fn depends(self, relations: &str) -> Self {
        self.field("Depends", relations)
    }

    /// Compresses both tars so; a package may well mix them, see [`control_compression`](Self::control_compression).
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.control_compression = compression;
        self.data_compression = compression;
        self
    }

    /// Compresses the control tar so.
    #[must_use]
    pub const fn control_compression(mut self, compression: Compression) -> Self {
        self.control_compression = compression;
        self
    }

    /// The time of every member added from here on, in seconds since 1970.
    #[must_use]
    pub const fn mtime(mut self, seconds: u64) -> Self {
        self.mtime = seconds;
        self
    }

    /// A file, mode `0644`.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.file_with(path, 0o644, 0, 0, content)
    }

    /// A file with its mode, owner and group.
    #[must_use]
    pub fn file_with(self, path: &str, mode: u32, uid: u32, gid: u32, content: impl Into<Vec<u8>>) -> Self {
        let kind = MemberKind::File(Content::Bytes(content.into()));
        self.placed(path, kind, |member| member.mode(mode).owner(uid, gid))
    }

    /// A folder, mode `0755`.
    #[must_use]
    pub fn dir(self, path: &str) -> Self {
        self.dir_with(path, 0o755, 0, 0)
    }

    /// A folder with its mode, owner and group.
    #[must_use]
    pub fn dir_with(mut self, path: &str, mode: u32, uid: u32, gid: u32) -> Self {
        self.folders.insert(path.trim_end_matches('/').to_owned());
        let name = format!("{}/", path.trim_end_matches('/'));
        self.placed(&name, MemberKind::Directory, |member| member.mode(mode).owner(uid, gid))
    }

    /// A symbolic link; the target is written as it is.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.placed(path, MemberKind::Symlink(target.as_bytes().to_vec()), |member| member)
    }

    /// A hard link to an earlier file of this package.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.placed(path, MemberKind::HardLink(format!("./{target}").into_bytes()), |member| member)
    }

    /// A file that is listed in `conffiles`.
    #[must_use]
    pub fn conffile(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.conffiles.push_str(&format!("/{path}\n"));
        self.file(path, content)
    }

    /// A maintainer script (`preinst`, `postinst`, `prerm`, `postrm` or `config`), mode `0755`.
    #[must_use]
    pub fn script(self, name: &str, body: &str) -> Self {
        let member = Member::file(format!("./{name}"), body).mode(0o755);
        self.control_member(member)
    }

    /// The `triggers` file.
    #[must_use]
    pub fn triggers(self, text: &str) -> Self {
        self.control_file("triggers", text)
    }

    /// Any other file of the control tar, mode `0644`.
    #[must_use]
    pub fn control_file(self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.control_member(Member::file(format!("./{name}"), content))
    }

    /// A member of the data tar, written as it is: for names with `..`, absolute names, device nodes, lies.
    #[must_use]
    pub fn member(mut self, member: Member) -> Self {
        self.data.push(member);
        self
    }

    /// A member of the control tar, written as it is.
    #[must_use]
    pub fn control_member(mut self, member: Member) -> Self {
        self.control.push(member);
        self
    }

    /// A last file of the data tar of `size` zero bytes, made in time and space that do not grow with it.
    ///
    /// `size` is rounded up to a multiple of 64 MiB; the package is about a thousandth of that with gzip, far less
    /// with xz and zstd. Without compression there is nothing to expand, so it must be one of the others.
    #[must_use]
    pub fn expanding_file(mut self, path: &str, size: u64) -> Self {
        self.bomb = Some((format!("./{path}"), size.next_multiple_of(expanding::UNIT)));
        self
    }

    /// A control file so long: a valid one, whose description goes on and on.
    #[must_use]
    pub fn huge_control(self, size: u64) -> Self {
        self.field(
            "Description",
            &format!("far too long\n {}", "x".repeat(usize::try_from(size).unwrap_or(0))),
        )
    }

    /// Another member of the outer `ar` archive, between `control.tar` and `data.tar`.
    #[must_use]
    pub fn outer_member(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.outer.push((name.to_owned(), content.into()));
        self
    }

    /// What `debian-binary` says, `2.0` otherwise.
    #[must_use]
    pub fn format(mut self, content: &str) -> Self {
        self.format = content.as_bytes().to_vec();
        self
    }

    /// The control file.
    #[must_use]
    pub fn control(&self) -> String {
        self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    /// `NAME_VERSION_ARCHITECTURE.deb`, the version without its epoch.
    #[must_use]
    pub fn file_name(&self) -> String {
        crate::archive::package_file_name(&self.control())
    }

    /// The package.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut control = vec![self.named("./", MemberKind::Directory)];
        control.push(self.named("./control", MemberKind::File(Content::Bytes(self.control().into_bytes()))));
        if !self.conffiles.is_empty() {
            let conffiles = Content::Bytes(self.conffiles.clone().into_bytes());
            control.push(self.named("./conffiles", MemberKind::File(conffiles)));
        }
        control.extend(self.control.iter().cloned());
        let control = self.control_compression.stream(|out| write_archive(out, &control));
        let mut members = vec![
            ("debian-binary".to_owned(), self.format.clone()),
            (format!("control.tar{}", self.control_compression.extension()), control),
        ];
        members.extend(self.outer.iter().cloned());
        members.push((format!("data.tar{}", self.data_compression.extension()), self.data_tar()));
        ar(&members)
    }

    /// Writes the package into a folder under its own name and gives the path.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write_to(&self, folder: &Path) -> PathBuf {
        let path = folder.join(self.file_name());
        std::fs::write(&path, self.build()).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
        path
    }

    fn data_tar(&self) -> Vec<u8> {
        let mut members = vec![self.named("./", MemberKind::Directory)];
        members.extend(self.data.iter().cloned());
        let Some((path, size)) = &self.bomb else {
            return self.data_compression.stream(|out| write_archive(out, &members));
        };
        let bomb = self.named(path, MemberKind::File(Content::Repeat { byte: 0, size: *size }));
        let head = Compression::None.stream(|out| {
            let mut head = Vec::new();
            write_archive(&mut head, &members)?;
            // Without the end marker: one more member follows.
            head.truncate(head.len() - 1024);
            out.write_all(&head)?;
            bomb.write_header(out)
        });
        expanding::expand(self.data_compression, &head, *size, &[0; 1024])
    }

    fn named(&self, name: &str, kind: MemberKind) -> Member {
        let mut member = Member::new(name, kind);
        member.mtime = self.mtime;
        member
    }

    /// Adds a member below the folders that lead to it.
    fn placed(mut self, path: &str, kind: MemberKind, change: impl FnOnce(Member) -> Member) -> Self {
        let parents: Vec<usize> = path.trim_end_matches('/').match_indices('/').map(|(at, _)| at).collect();
        for end in parents {
            if self.folders.insert(path[..end].to_owned()) {
                let folder = self.named(&format!("./{}/", &path[..end]), MemberKind::Directory);
                self.data.push(folder);
            }
        }
        let member = change(self.named(&format!("./{path}"), kind));
        self.data.push(member);
        self
    }
}

/// The same package with both of its tars compressed another way: how Debian's packages become shaped like Ubuntu's.
///
/// # Panics
/// When `dpkg-deb` cannot read the package.
#[must_use]
pub fn repack(deb: &Path, compression: Compression) -> Vec<u8> {
    let part = |which: &str| run(Command::new(tool("dpkg-deb")).arg(which).arg(deb));
    let (control, data) = (part("--ctrl-tarfile"), part("--fsys-tarfile"));
    ar(&[
        ("debian-binary".to_owned(), b"2.0\n".to_vec()),
        (format!("control.tar{}", compression.extension()), compression.compress(&control)),
        (format!("data.tar{}", compression.extension()), compression.compress(&data)),
    ])
}

/// The control file inside a package.
///
/// # Panics
/// When there is none.
pub(crate) fn control_of(deb: &[u8]) -> String {
    let mut at = 8;
    while let Some(header) = deb.get(at..at + 60) {
        let name = String::from_utf8_lossy(&header[..16]).trim_end_matches(['/', ' ']).to_owned();
        let size =
            String::from_utf8_lossy(&header[48..58]).trim().parse::<usize>().expect("size in an ar header");
        let body = &deb[at + 60..at + 60 + size];
        if name.starts_with("control.tar") {
            let tar = Compression::from_file_name(&name).decompress(body);
            let control = find_file(&tar, "control").expect("package with a control file");
            return String::from_utf8(control).expect("control file in UTF-8");
        }
        at += 60 + size.next_multiple_of(2);
    }
    panic!("no control tar among the members of a package");
}

/// An `ar` archive as deb(5) describes it.
fn ar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!(
            "{name:<16}{DEFAULT_MTIME:<12}{uid:<6}{gid:<6}{mode:<8}{size:<10}`\n",
            uid = 0,
            gid = 0,
            mode = 100_644,
            size = content.len()
        );
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}
