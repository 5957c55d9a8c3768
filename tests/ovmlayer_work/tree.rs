//! Trees with everything in them that a layer can hold, made at random from a seed, and what makes them.

use std::fmt::Write as _;

/// Makes them: the path of a script for perl.
pub(crate) const MAKER: &str = include_str!("make_tree.pl");

/// What a tree may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinds {
    /// Device nodes and attributes in `trusted.`, which only root of the machine can make.
    pub(crate) of_root: bool,
    /// What an OCI layer has no form for: sockets, names that begin with `.wh.`, attributes without a value (which
    /// in a PAX header mean that there is none), files of 4 GiB without their content.
    pub(crate) of_layers: bool,
}

/// A list of operations for [`MAKER`].
#[derive(Debug)]
pub(crate) struct Plan {
    random: Random,
    kinds: Kinds,
    lines: String,
    times: Vec<(usize, String)>,
    folders: Vec<Vec<u8>>,
    files: Vec<Vec<u8>>,
}

/// Owners within the ids that an ordinary user has.
const OWNERS: [u32; 5] = [0, 1, 33, 1000, 65_533];
const FOLDER_MODES: [u32; 5] = [0o755, 0o700, 0o2775, 0o1777, 0o555];
const FILE_MODES: [u32; 7] = [0o644, 0o600, 0o4755, 0o2755, 0o444, 0, 0o6711];
/// `cap_net_raw+ep` (linux/capability.h, `vfs_cap_data` of revision 2).
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// What [`Plan::replaced`] starts from.
const BELOW: [&str; 12] = [
    "below/file-1",
    "below/file-2",
    "below/file-3",
    "below/folder-1/a",
    "below/folder-1/b/c",
    "below/folder-2/a",
    "below/folder-3/a",
    "below/folder-4/a",
    "below/folder-5/a",
    "below/folder-5/b",
    "below/folder-6/a",
    "below/folder-7/a/b",
];

impl Plan {
    pub(crate) fn new(seed: u64, kinds: Kinds) -> Self {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self {
            random,
            kinds,
            lines: String::new(),
            times: Vec::new(),
            folders: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The list.
    pub(crate) fn text(mut self) -> String {
        // Times come last, those of folders after those of what is in them.
        self.times.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        self.times.into_iter().for_each(|(_, line)| self.lines.push_str(&line));
        self.lines
    }

    /// Folders and files for [`Self::replaced`] to change.
    pub(crate) fn below(mut self) -> Self {
        let mut made: Vec<&str> = Vec::new();
        for path in BELOW {
            for (end, _) in path.match_indices('/') {
                if !made.contains(&&path[..end]) {
                    made.push(&path[..end]);
                    self.line('D', &path.as_bytes()[..end], "");
                    self.attributes(&path.as_bytes()[..end], 0o755);
                }
            }
            self.line('F', path.as_bytes(), &hex(path.as_bytes()));
            self.attributes(path.as_bytes(), 0o644);
        }
        for (link, target) in
            [("below/link-1", "file-1"), ("below/link-2", "folder-1"), ("below/link-3", "nowhere")]
        {
            self.line('L', link.as_bytes(), &hex(target.as_bytes()));
        }
        self
    }

    /// Whiteouts over a file, a folder and links; folders in the place of folders, which are opaque; a file in the place
    /// of a folder and the reverse.
    pub(crate) fn replaced(mut self) -> Self {
        for path in [
            "file-1",
            "folder-1",
            "link-1",
            "link-2",
            "folder-2/a",
            "folder-3",
            "folder-4",
            "folder-5",
            "file-3",
            "link-3",
        ] {
            self.line('R', format!("below/{path}").as_bytes(), "");
        }
        for path in ["folder-3", "folder-5", "folder-5/b", "file-3"] {
            self.line('D', format!("below/{path}").as_bytes(), "");
            self.attributes(format!("below/{path}").as_bytes(), 0o750);
        }
        self.line('F', b"below/folder-5/new", &hex(b"in an opaque folder"));
        self.line('F', b"below/folder-4", &hex(b"a file in the place of a folder"));
        self.line('L', b"below/link-3", &hex(b"folder-6"));
        self.line('F', b"below/folder-7/a/c", &hex(b"beside what is below"));
        self.line('M', b"below/folder-6", "1777");
        self
    }

    /// `count` entries of all kinds in random places.
    pub(crate) fn everything(mut self, count: u64) -> Self {
        // Special files are made in here, where they inherit no attributes.
        self.line('D', b"every", "");
        self.folders.push(b"every".to_vec());
        for number in 0..count {
            let name = self.name(number);
            let path = self.place(&name);
            match self.random.below(10) {
                0..=2 => self.folder(path),
                3..=5 => self.file(path),
                6 => self.link(&path),
                7 => self.second_name(path),
                _ => self.special(&[b"every/", name.as_slice()].concat(), number),
            }
        }
        self.sparse()
    }

    /// A folder whose access control list goes to a file, a pipe and a node in it.
    pub(crate) fn inherited(mut self) -> Self {
        self.line('D', b"folder", "");
        self.attribute(b"folder", "system.posix_acl_default", &acl());
        self.line('F', b"folder/file", "");
        self.line('P', b"folder/pipe", "");
        self.line('N', b"folder/node", &format!("{} {}", 0o020_660, 1 << 8 | 3));
        self
    }

    fn sparse(mut self) -> Self {
        let size: u64 = if self.kinds.of_layers { (4 << 30) + 4096 } else { 8 << 20 };
        let (start, middle, end) = (hex(b"start"), hex(&[7; 5000]), hex(b"end"));
        let pieces = format!("{size} 0 {start} {} {middle} {} {end}", size / 2 + 100, size - 3);
        self.line('S', b"every/sparse", &pieces);
        self.line('S', b"every/only a hole", &size.to_string());
        self.line('S', b"every/a hole at the end", &format!("{size} 0 {middle}"));
        for path in ["every/sparse", "every/only a hole", "every/a hole at the end"] {
            self.attributes(path.as_bytes(), 0o640);
        }
        self
    }

    fn folder(&mut self, path: Vec<u8>) {
        self.line('D', &path, "");
        let mode = self.random.of(&FOLDER_MODES);
        self.attributes(&path, mode);
        self.folders.push(path);
    }

    fn file(&mut self, path: Vec<u8>) {
        let size = self.random.of(&[0, 1, 511, 512, 513, 5000, 40_000]);
        let content: Vec<u8> = (0..size).map(|_| self.random.below(256) as u8).collect();
        self.line('F', &path, &hex(&content));
        let mode = self.random.of(&FILE_MODES);
        self.attributes(&path, mode);
        self.files.push(path);
    }

    fn link(&mut self, path: &[u8]) {
        let target = match self.random.below(4) {
            0 => vec![b'x'; 300],
            1 => b"/etc/passwd".to_vec(),
            2 => b"../\xff\xfe no utf-8".to_vec(),
            _ => b"..".to_vec(),
        };
        self.line('L', path, &hex(&target));
        self.owner(path);
        self.time(path);
    }

    fn second_name(&mut self, path: Vec<u8>) {
        if self.files.is_empty() {
            return self.file(path);
        }
        let number = self.random.below(self.files.len() as u64) as usize;
        let other = hex(&self.files[number]);
        self.line('H', &path, &other);
    }

    fn special(&mut self, path: &[u8], number: u64) {
        // The address of a socket holds a short name only.
        let short = path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.len() < 100);
        match number % 4 {
            0 if self.kinds.of_layers && short => self.line('U', path, ""),
            1 if self.kinds.of_root => self.line('N', path, &format!("{} {}", 0o020_660, 1 << 8 | 3)),
            2 if self.kinds.of_root => self.line('N', path, &format!("{} {}", 0o060_600, 7 << 8 | 200)),
            _ => self.line('P', path, ""),
        }
        self.owner(path);
        self.time(path);
    }

    /// Owner before mode, since a new owner takes set-id bits and capabilities away.
    fn attributes(&mut self, path: &[u8], mode: u32) {
        self.owner(path);
        self.line('M', path, &format!("{mode:o}"));
        let folder = self.lines.lines().any(|line| line == format!("D {}", hex(path)));
        match self.random.below(6) {
            0 => self.attribute(path, "user.note", b"any\0bytes\xff"),
            1 => {
                let long: Vec<u8> = (0..2000).map(|_| self.random.below(256) as u8).collect();
                self.attribute(path, "user.a name with space \u{e9}", &long);
                if self.kinds.of_layers {
                    self.attribute(path, "user.empty", b"");
                }
            }
            2 if !folder => self.attribute(path, "security.capability", CAPABILITY),
            3 => self.attribute(path, "system.posix_acl_access", &acl()),
            4 if folder => self.attribute(path, "system.posix_acl_default", &acl()),
            5 if self.kinds.of_root => self.attribute(path, "trusted.note", b"of root"),
            _ => {}
        }
        self.time(path);
    }

    fn attribute(&mut self, path: &[u8], name: &str, value: &[u8]) {
        self.line('X', path, &format!("{} {}", hex(name.as_bytes()), hex(value)));
    }

    fn owner(&mut self, path: &[u8]) {
        let (user, group) = (self.random.of(&OWNERS), self.random.of(&OWNERS));
        self.line('O', path, &format!("{user} {group}"));
    }

    fn time(&mut self, path: &[u8]) {
        let seconds = self.random.of(&[0, 1, 1_000_000_000, 1_704_067_200, 4_000_000_000_u64]);
        let nanoseconds = self.random.of(&[0, 1, 123_456_789, 999_999_999_u64]);
        self.times.push((path.len(), format!("T {} {seconds} {nanoseconds}\n", hex(path))));
    }

    /// A name of any bytes, unlike every other one.
    fn name(&mut self, number: u64) -> Vec<u8> {
        let mut name = match self.random.below(6) {
            0 => b"\xff\xfe\x80".to_vec(),
            1 => b" space and\nline".to_vec(),
            2 => vec![b'n'; 180],
            3 if self.kinds.of_layers => b".wh.".to_vec(),
            4 => "ü中".as_bytes().to_vec(),
            _ => b"name".to_vec(),
        };
        name.extend(format!("-{number}").bytes());
        name
    }

    fn place(&mut self, name: &[u8]) -> Vec<u8> {
        let number = self.random.below(self.folders.len() as u64) as usize;
        let folder = &self.folders[number];
        // Long names one in another would be too long for a path.
        let folder = if folder.len() > 1500 { &self.folders[0] } else { folder };
        [folder.as_slice(), b"/", name].concat()
    }

    fn line(&mut self, letter: char, path: &[u8], fields: &str) {
        let separator = if fields.is_empty() { "" } else { " " };
        let _ = writeln!(self.lines, "{letter} {}{separator}{fields}", hex(path));
    }
}

/// One more user may read (acl(5); linux/posix_acl_xattr.h): owner, user 1000, group, mask and others.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Bytes for a list.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Marsaglia's xorshift64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}
