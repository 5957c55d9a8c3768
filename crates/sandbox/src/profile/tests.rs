use super::*;
use crate::filter::evaluate;

const ALLOW: u32 = 0x7fff_0000;
const REFUSE: u32 = 0x0005_0001;
const X86_64: u32 = 0xC000_003E;

/// In the manner of Docker's own.
const PROFILE: &[u8] = br#"{
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [
    { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] },
    { "architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null }
  ],
  "syscalls": [
    { "names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": { "minKernel": "4.8" } },
    { "names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "99.0" }, "excludes": {} },
    { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
    { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
    { "names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["amd64", "x32"] } },
    { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }, { "index": 0, "value": 8, "op": "SCMP_CMP_EQ" }] },
    { "name": "socket", "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] }
  ]
}"#;

fn compiled(capabilities: CapabilitySet) -> Vec<crate::raw::Instruction> {
    let surroundings = Surroundings { capabilities, architecture: "amd64", kernel: (6, 1) };
    SeccompProfile::parse(PROFILE).unwrap().compile(surroundings).unwrap()
}

#[test]
fn a_profile_means_what_it_says() {
    let build = compiled(crate::Capabilities::Build.set());
    let all = compiled(CapabilitySet::all());
    let refuse_38 = 0x0005_0026;
    let tests = [
        ("read", 0, 0, ALLOW, ALLOW),
        ("old enough", 101, 0, ALLOW, ALLOW),
        ("too new", 321, 0, REFUSE, REFUSE),
        ("by capability", 165, 0, REFUSE, ALLOW),
        ("without a capability", 435, 0, refuse_38, REFUSE),
        ("by architecture", 158, 0, ALLOW, ALLOW),
        ("one of two values", 135, 8, ALLOW, ALLOW),
        ("none of two values", 135, 9, REFUSE, REFUSE),
        ("a single name", 41, 2, ALLOW, ALLOW),
        ("a value that is not allowed", 41, 40, REFUSE, REFUSE),
        ("not named", 2, 0, REFUSE, REFUSE),
    ];
    for (summary, number, argument, with_build, with_all) in tests {
        let result = |program| evaluate(program, X86_64, number, [argument, 0, 0, 0, 0, 0]);
        assert_eq!([result(&build), result(&all)], [with_build, with_all], "{summary}");
    }
    // 32-bit x86, where 3 is read and 2 is fork.
    assert_eq!([3, 2].map(|number| evaluate(&build, 0x4000_0003, number, [0; 6])), [ALLOW, REFUSE]);
}

#[test]
fn what_is_not_understood_is_refused() {
    let with = |entry: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{entry}]}}"#);
    let tests = [
        ("no JSON", "x".to_owned()),
        ("no default", "{}".to_owned()),
        ("an unknown default", r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.to_owned()),
        ("an unknown action", with(r#"{"names": [], "action": "SCMP_ACT_X"}"#)),
        (
            "an error number out of range",
            with(r#"{"names": [], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}"#),
        ),
        (
            "an unknown comparison",
            with(
                r#"{"names": [], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 0, "op": "X"}]}"#,
            ),
        ),
        (
            "an argument that no call has",
            with(
                r#"{"names": [], "action": "SCMP_ACT_KILL", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#,
            ),
        ),
        ("nested without end", "[".repeat(100_000)),
    ];
    for (summary, json) in tests {
        assert!(matches!(SeccompProfile::parse(json.as_bytes()), Err(Error::Profile { .. })), "{summary}");
    }
}
