//! For which machine a program or library is.

/// How many bytes of a file [`machine`] has to see.
pub(crate) const HEAD: usize = 20;

/// The machine in the header of an ELF file: its `e_machine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine(pub u16);

impl Machine {
    /// x86-64.
    pub const AMD64: Self = Self(62);
    /// AArch64.
    pub const ARM64: Self = Self(183);

    /// The machine of an architecture, by Debian's name.
    #[must_use]
    pub fn of_architecture(name: &str) -> Option<Self> {
        match name {
            "amd64" => Some(Self::AMD64),
            "arm64" => Some(Self::ARM64),
            _ => None,
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            3 => f.write_str("i386"),
            40 => f.write_str("arm"),
            62 => f.write_str("amd64"),
            183 => f.write_str("arm64"),
            243 => f.write_str("riscv"),
            other => write!(f, "ELF machine {other}"),
        }
    }
}

/// The machine of a file that begins with `head`; none when it is no ELF file (System V ABI, chapter 4, "ELF header").
#[must_use]
pub fn machine(head: &[u8]) -> Option<Machine> {
    if head.len() < HEAD || !head.starts_with(b"\x7fELF") {
        return None;
    }
    let bytes = [head[18], head[19]];
    match head[5] {
        1 => Some(Machine(u16::from_le_bytes(bytes))),
        2 => Some(Machine(u16::from_be_bytes(bytes))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines() {
        let file = |order: u8, low: u8, high: u8| {
            let mut head = b"\x7fELF\x02\0\x01\0\0\0\0\0\0\0\0\0\x03\0\0\0".to_vec();
            (head[5], head[18], head[19]) = (order, low, high);
            head
        };
        let cases = [
            ("amd64", file(1, 62, 0), Some(Machine::AMD64)),
            ("arm64", file(1, 183, 0), Some(Machine::ARM64)),
            ("big-endian", file(2, 0, 22), Some(Machine(22))),
            ("no byte order", file(0, 62, 0), None),
            ("cut off", file(1, 62, 0)[..19].to_vec(), None),
            ("a script", b"#!/bin/sh\nexit 0; and so on\n".to_vec(), None),
        ];
        for (summary, head, expected) in cases {
            assert_eq!(machine(&head), expected, "{summary}");
        }
    }
}
