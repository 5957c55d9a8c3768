use std::fmt;

/// A machine architecture, by the names that Debian uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86, 64 bits.
    Amd64,
    /// ARM, 64 bits.
    Arm64,
    /// x86, 32 bits.
    I386,
    /// ARM, 32 bits, hard float.
    Armhf,
    /// RISC-V, 64 bits.
    Riscv64,
}

/// Bytes at the beginning of a program, and which of their bits count (binfmt_misc of Linux's admin guide).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Magic {
    pub(crate) value: [u8; 20],
    pub(crate) mask: [u8; 20],
}

impl Architecture {
    /// Every architecture known here.
    pub const ALL: [Self; 5] = [Self::Amd64, Self::Arm64, Self::I386, Self::Armhf, Self::Riscv64];

    /// The architecture of this name of Debian's, such as `amd64`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// Debian's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::I386 => "i386",
            Self::Armhf => "armhf",
            Self::Riscv64 => "riscv64",
        }
    }

    /// What qemu calls it: its interpreter is `qemu-NAME`, or `qemu-NAME-static` in older releases.
    #[must_use]
    pub fn qemu_name(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
            Self::I386 => "i386",
            Self::Armhf => "arm",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The architecture of this machine's kernel, if it is among these.
    #[must_use]
    pub fn machine() -> Option<Self> {
        match rustix::system::uname().machine().to_bytes() {
            b"x86_64" => Some(Self::Amd64),
            b"aarch64" => Some(Self::Arm64),
            b"i686" | b"i586" => Some(Self::I386),
            b"armv7l" | b"armv8l" => Some(Self::Armhf),
            b"riscv64" => Some(Self::Riscv64),
            _ => None,
        }
    }

    /// Whether this machine runs programs for it without help. 32-bit ARM on 64-bit ARM counts as foreign, since
    /// many server processors lack it.
    #[must_use]
    pub fn is_native(self) -> bool {
        let machine = Self::machine();
        machine == Some(self) || (machine == Some(Self::Amd64) && self == Self::I386)
    }

    /// How its ELF programs begin: identification, then type (2 or 3: fixed or position-independent) and machine,
    /// both little-endian. The byte that says which operating system's conventions hold is left open.
    pub(crate) fn magic(self) -> Magic {
        let (class, machine) = match self {
            Self::Amd64 => (2, 0x3e),
            Self::Arm64 => (2, 0xb7),
            Self::I386 => (1, 0x03),
            Self::Armhf => (1, 0x28),
            Self::Riscv64 => (2, 0xf3),
        };
        let mut value = *b"\x7fELF\0\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\0\0";
        (value[4], value[18]) = (class, machine);
        let mut mask = [0xff; 20];
        (mask[7], mask[16]) = (0, 0xfe);
        Magic { value, mask }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's `/usr/share/binfmts/qemu-aarch64`, the facts against which the table is checked.
    #[test]
    fn magic_is_that_of_debian() {
        let magic = Architecture::Arm64.magic();
        let (value, mask) = (hex(&magic.value), hex(&magic.mask));
        assert_eq!(value, "7f454c460201010000000000000000000200b700");
        assert_eq!(mask, "ffffffffffffff00fffffffffffffffffeffffff");
    }

    #[test]
    fn magics_differ_from_each_other() {
        for (index, one) in Architecture::ALL.iter().enumerate() {
            for other in &Architecture::ALL[index + 1..] {
                assert_ne!(one.magic(), other.magic());
            }
            assert_eq!(Architecture::from_name(one.name()), Some(*one));
        }
    }

    #[test]
    fn this_program_matches_its_machine() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let magic = Architecture::machine().unwrap().magic();
        assert!(program.iter().zip(magic.value).zip(magic.mask).all(|((p, v), m)| p & m == v & m));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
