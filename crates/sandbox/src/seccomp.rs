//! The filter that answers calls for durability with success, as a BPF program written here.
//!
//! dpkg calls fsync for every file it unpacks. A root that is being built is worth nothing until it is whole, so
//! inside a sandbox these calls do nothing, and [`crate::sync_tree`] makes it good once at the end.

use crate::raw::Instruction;

/// Architecture tokens of `struct seccomp_data` (linux/audit.h).
mod audit {
    pub(super) const X86_64: u32 = 0xC000_003E;
    pub(super) const I386: u32 = 0x4000_0003;
    pub(super) const AARCH64: u32 = 0xC000_00B7;
    pub(super) const ARM: u32 = 0x4000_0028;
    pub(super) const RISCV64: u32 = 0xC000_00F3;
}

/// Bit that marks a call of the x32 ABI, which shares its architecture token with x86-64.
const X32_BIT: u32 = 0x4000_0000;

/// One calling convention: its token and its numbers of fsync, fdatasync, sync, syncfs, sync_file_range, msync.
struct Abi {
    token: u32,
    numbers: [u32; 6],
}

/// All calling conventions that the kernels we run on offer. Tokens of other machines never occur, so one table
/// serves every machine (syscall tables of Linux, `arch/*/entry/syscalls`, `scripts/syscall.tbl`).
const ABIS: [Abi; 5] = [
    Abi { token: audit::X86_64, numbers: [74, 75, 162, 306, 277, 26] },
    Abi { token: audit::AARCH64, numbers: [82, 83, 81, 267, 84, 227] },
    Abi { token: audit::I386, numbers: [118, 148, 36, 344, 314, 144] },
    Abi { token: audit::ARM, numbers: [118, 148, 36, 373, 341, 144] },
    Abi { token: audit::RISCV64, numbers: [82, 83, 81, 267, 84, 227] },
];

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const TOKEN: u32 = 4;

const ALLOW: u32 = 0x7fff_0000; // SECCOMP_RET_ALLOW
const ANSWER_ZERO: u32 = 0x0005_0000; // SECCOMP_RET_ERRNO with errno 0: the call returns 0

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// The program. Per ABI: is it this token? then one comparison per number.
pub(crate) fn deferred_fsync() -> Vec<Instruction> {
    let mut program = Vec::new();
    for abi in &ABIS {
        program.push(instruction(LOAD, 0, 0, TOKEN));
        // Another token: skip the rest of this block (load, mask, comparisons, two returns).
        let rest = 2 + abi.numbers.len() + 2;
        program.push(instruction(JUMP_EQUAL, 0, jump(rest), abi.token));
        program.push(instruction(LOAD, 0, 0, NUMBER));
        program.push(instruction(AND, 0, 0, if abi.token == audit::X86_64 { !X32_BIT } else { !0 }));
        for (index, number) in abi.numbers.iter().enumerate() {
            // A hit jumps over the remaining comparisons and the first return.
            let remaining = abi.numbers.len() - 1 - index;
            program.push(instruction(JUMP_EQUAL, jump(remaining + 1), 0, *number));
        }
        program.push(instruction(RETURN, 0, 0, ALLOW));
        program.push(instruction(RETURN, 0, 0, ANSWER_ZERO));
    }
    program.push(instruction(RETURN, 0, 0, ALLOW));
    program
}

/// Jump distances are bytes; the longest here is 10.
fn jump(distance: usize) -> u8 {
    u8::try_from(distance).unwrap_or(u8::MAX)
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would, on one system call.
    fn evaluate(program: &[Instruction], token: u32, number: u32) -> u32 {
        let (mut pc, mut accumulator) = (0, 0);
        loop {
            let i = program[pc];
            pc += 1;
            match i.code {
                LOAD if i.k == TOKEN => accumulator = token,
                LOAD if i.k == NUMBER => accumulator = number,
                AND => accumulator &= i.k,
                JUMP_EQUAL => pc += usize::from(if accumulator == i.k { i.jt } else { i.jf }),
                RETURN => return i.k,
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn answers_exactly_the_listed_calls() {
        let program = deferred_fsync();
        for abi in &ABIS {
            for number in 0..600 {
                let expected = if abi.numbers.contains(&number) { ANSWER_ZERO } else { ALLOW };
                assert_eq!(evaluate(&program, abi.token, number), expected, "{:#x} {number}", abi.token);
            }
        }
        assert_eq!(evaluate(&program, audit::X86_64, X32_BIT | 74), ANSWER_ZERO, "fsync of x32");
        assert_eq!(evaluate(&program, audit::X86_64, X32_BIT | 1), ALLOW, "write of x32");
        assert_eq!(evaluate(&program, 0x8000_0016, 118), ALLOW, "another architecture");
    }

    #[test]
    fn numbers_of_this_machine_agree_with_libc() {
        let token = if cfg!(target_arch = "x86_64") { audit::X86_64 } else { audit::AARCH64 };
        let abi = ABIS.iter().find(|abi| abi.token == token).unwrap();
        let numbers = [
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_sync,
            libc::SYS_syncfs,
            libc::SYS_sync_file_range,
            libc::SYS_msync,
        ];
        assert_eq!(numbers.map(|n| u32::try_from(n).unwrap()), abi.numbers);
    }
}
