//! From rules about system calls to a BPF program.

use crate::raw::Instruction;

/// What is done about the calls of these numbers if all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) numbers: Vec<u32>,
    pub(crate) conditions: Vec<Condition>,
    /// A return value of a filter: action and data.
    pub(crate) action: u32,
}

/// A condition on an argument, 0 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) index: u8,
    pub(crate) comparison: Comparison,
    pub(crate) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Equal in the bits of this mask.
    Masked(u64),
}

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;

/// The filter's return value for an action of libseccomp (seccomp(2)).
pub(crate) fn action(name: &str, errno: Option<u16>) -> Result<u32, String> {
    const NOT_PERMITTED: u16 = 1;
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(KILL_THREAD),
        "SCMP_ACT_KILL_PROCESS" => Ok(KILL_PROCESS),
        "SCMP_ACT_TRAP" => Ok(0x0003_0000),
        "SCMP_ACT_ERRNO" => match errno.unwrap_or(NOT_PERMITTED) {
            errno @ 0..4096 => Ok(0x0005_0000 | u32::from(errno)),
            errno => Err(format!("{errno} is not an error number")),
        },
        "SCMP_ACT_TRACE" => Ok(0x7ff0_0000 | u32::from(errno.unwrap_or(NOT_PERMITTED))),
        "SCMP_ACT_LOG" => Ok(0x7ffc_0000),
        "SCMP_ACT_ALLOW" => Ok(0x7fff_0000),
        other => Err(format!("`{other}` is not a known action")),
    }
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`; every machine we run on has the lower half of an argument first.
const NUMBER: u32 = 0;
const TOKEN: u32 = 4;
const ARGUMENTS: u32 = 16;

const X86_64: u32 = 0xC000_003E;

/// Numbers from here on are calls of the x32 ABI, which shares the token of x86-64.
const X32: u32 = 0x4000_0000;

/// Numbers compared before one return; a conditional jump reaches over 255 instructions.
const CHUNK: usize = 200;

/// The program: per calling convention (its token), rules in order, of which the first that matches decides, and the
/// default if none does. Calls of any other convention kill the process, since nothing is said about them.
pub(crate) fn compile(default: u32, blocks: &[(u32, Vec<Rule>)]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (token, rules) in blocks {
        let mut block = vec![plain(LOAD, NUMBER)];
        if *token == X86_64 {
            block.extend([jump(NOT_LESS, X32, 0, 1), plain(RETURN, default)]);
        }
        for rule in rules.iter().filter(|rule| !rule.numbers.is_empty()) {
            if rule.conditions.is_empty() {
                unconditional(rule, &mut block);
            } else {
                conditional(rule, &mut block);
            }
        }
        block.push(plain(RETURN, default));
        program.extend([plain(LOAD, TOKEN), jump(EQUAL, *token, 1, 0)]);
        program.push(plain(JUMP, u32::try_from(block.len()).unwrap_or(u32::MAX)));
        program.append(&mut block);
    }
    program.push(plain(RETURN, KILL_PROCESS));
    program
}

/// With the number loaded; leaves it loaded.
fn unconditional(rule: &Rule, block: &mut Vec<Instruction>) {
    for chunk in rule.numbers.chunks(CHUNK) {
        for (index, number) in chunk.iter().enumerate() {
            // A hit jumps over the other comparisons and the jump past the return.
            let rest = chunk.len() - 1 - index + 1;
            block.push(jump(EQUAL, *number, u8::try_from(rest).unwrap_or(u8::MAX), 0));
        }
        block.extend([plain(JUMP, 1), plain(RETURN, rule.action)]);
    }
}

/// With the number loaded; loads it again after each comparison of arguments.
fn conditional(rule: &Rule, block: &mut Vec<Instruction>) {
    for number in &rule.numbers {
        let mut body: Vec<_> = rule.conditions.iter().flat_map(Condition::tests).collect();
        body.push(Test { instruction: plain(RETURN, rule.action), fails: [false, false] });
        let length = body.len();
        // Another number jumps over all of it: at most 6 conditions of 6 instructions.
        let over = u8::try_from(length + 1).unwrap_or(u8::MAX);
        block.push(jump(EQUAL, *number, 0, over));
        for (index, Test { mut instruction, fails: [when_true, when_false] }) in body.into_iter().enumerate()
        {
            let end = u8::try_from(length - 1 - index).unwrap_or(u8::MAX);
            if when_true {
                instruction.jt = end;
            }
            if when_false {
                instruction.jf = end;
            }
            block.push(instruction);
        }
        block.push(plain(LOAD, NUMBER));
    }
}

/// An instruction, and which of its outcomes mean that the condition does not hold.
struct Test {
    instruction: Instruction,
    fails: [bool; 2],
}

impl Condition {
    /// Goes on after its end if the condition holds.
    fn tests(&self) -> Vec<Test> {
        let at = ARGUMENTS + 8 * u32::from(self.index);
        let (high, low) = halves(self.value);
        let step = |instruction| Test { instruction, fails: [false, false] };
        let fail_if = |instruction| Test { instruction, fails: [true, false] };
        let fail_unless = |instruction| Test { instruction, fails: [false, true] };
        let load_high = step(plain(LOAD, at + 4));
        let load_low = step(plain(LOAD, at));
        match self.comparison {
            Comparison::Equal => vec![
                load_high,
                fail_unless(jump(EQUAL, high, 0, 0)),
                load_low,
                fail_unless(jump(EQUAL, low, 0, 0)),
            ],
            Comparison::NotEqual => {
                vec![load_high, step(jump(EQUAL, high, 0, 2)), load_low, fail_if(jump(EQUAL, low, 0, 0))]
            }
            Comparison::GreaterOrEqual | Comparison::Greater => {
                let last = if self.comparison == Comparison::Greater { GREATER } else { NOT_LESS };
                vec![
                    load_high,
                    step(jump(GREATER, high, 3, 0)),
                    fail_unless(jump(EQUAL, high, 0, 0)),
                    load_low,
                    fail_unless(jump(last, low, 0, 0)),
                ]
            }
            Comparison::Less | Comparison::LessOrEqual => {
                let last = if self.comparison == Comparison::Less { NOT_LESS } else { GREATER };
                vec![
                    load_high,
                    fail_if(jump(GREATER, high, 0, 0)),
                    step(jump(EQUAL, high, 0, 2)),
                    load_low,
                    fail_if(jump(last, low, 0, 0)),
                ]
            }
            Comparison::Masked(mask) => {
                let (mask_high, mask_low) = halves(mask);
                vec![
                    load_high,
                    step(plain(AND, mask_high)),
                    fail_unless(jump(EQUAL, high, 0, 0)),
                    load_low,
                    step(plain(AND, mask_low)),
                    fail_unless(jump(EQUAL, low, 0, 0)),
                ]
            }
        }
    }
}

fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

fn plain(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// What the program returns for a call, worked out as the kernel does.
#[cfg(test)]
pub(crate) fn evaluate(program: &[Instruction], token: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let (mut pc, mut a) = (0, 0);
    loop {
        let i = program[pc];
        pc += 1;
        let mut branch = |holds: bool| pc += usize::from(if holds { i.jt } else { i.jf });
        match i.code {
            LOAD if i.k == NUMBER => a = number,
            LOAD if i.k == TOKEN => a = token,
            LOAD => {
                let argument = arguments[((i.k - ARGUMENTS) / 8) as usize];
                a = if (i.k - ARGUMENTS) % 8 == 4 { halves(argument).0 } else { halves(argument).1 };
            }
            AND => a &= i.k,
            EQUAL => branch(a == i.k),
            GREATER => branch(a > i.k),
            NOT_LESS => branch(a >= i.k),
            JUMP => pc += i.k as usize,
            RETURN => return i.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const REFUSE: u32 = 0x0005_0001;
    const ARM: u32 = 0xC000_00B7;

    fn rule(numbers: impl IntoIterator<Item = u32>, conditions: Vec<Condition>) -> Rule {
        Rule { numbers: numbers.into_iter().collect(), conditions, action: ALLOW }
    }

    #[test]
    fn many_numbers_are_found() {
        let program = compile(REFUSE, &[(ARM, vec![rule((0..1000).filter(|n| n % 3 == 0), vec![])])]);
        for number in 0..1100 {
            let expected = if number < 1000 && number % 3 == 0 { ALLOW } else { REFUSE };
            assert_eq!(evaluate(&program, ARM, number, [0; 6]), expected, "{number}");
        }
        assert_eq!(evaluate(&program, X86_64, 3, [0; 6]), KILL_PROCESS);
    }

    #[test]
    fn conditions_compare_all_64_bits() {
        let values = [0, 1, 2, 0xffff_ffff, 1 << 32, (1 << 32) + 1, (2 << 32) + 1, u64::MAX - 1, u64::MAX];
        type Holds = fn(u64, u64) -> bool;
        let comparisons: [(Comparison, Holds); 7] = [
            (Comparison::NotEqual, |a, b| a != b),
            (Comparison::Less, |a, b| a < b),
            (Comparison::LessOrEqual, |a, b| a <= b),
            (Comparison::Equal, |a, b| a == b),
            (Comparison::GreaterOrEqual, |a, b| a >= b),
            (Comparison::Greater, |a, b| a > b),
            (Comparison::Masked(0x1_0000_0001), |a, b| a & 0x1_0000_0001 == b),
        ];
        for (comparison, holds) in comparisons {
            for (value, argument) in values.iter().flat_map(|v| values.iter().map(move |a| (*v, *a))) {
                let condition = Condition { index: 2, comparison, value };
                let rules = vec![rule([7, 8], vec![condition]), rule([9], vec![])];
                let program = compile(REFUSE, &[(X86_64, rules)]);
                let result = |number| evaluate(&program, X86_64, number, [9, 9, argument, 9, 9, 9]);
                let expected = if holds(argument, value) { ALLOW } else { REFUSE };
                assert_eq!([result(7), result(8)], [expected; 2], "{argument:#x} {comparison:?} {value:#x}");
                assert_eq!([result(9), result(10), result(X32 + 9)], [ALLOW, REFUSE, REFUSE]);
            }
        }
    }

    #[test]
    fn all_conditions_must_hold_and_the_first_rule_decides() {
        let at = |index, value| Condition { index, comparison: Comparison::Equal, value };
        let refuse = Rule { action: 0x0005_0026, ..rule([7], vec![at(0, 1), at(5, 2)]) };
        let program = compile(REFUSE, &[(ARM, vec![refuse, rule([7], vec![])])]);
        assert_eq!(evaluate(&program, ARM, 7, [1, 0, 0, 0, 0, 2]), 0x0005_0026);
        assert_eq!(evaluate(&program, ARM, 7, [1, 0, 0, 0, 0, 3]), ALLOW);
        assert_eq!(evaluate(&program, ARM, 8, [1, 0, 0, 0, 0, 2]), REFUSE);
    }
}
