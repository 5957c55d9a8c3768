//! The recipes that the program carries, and the files that they name.

/// The recipes.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("base-rootfs", include_str!("../../../recipes/base-rootfs.toml")),
    ("server-foundation", include_str!("../../../recipes/server-foundation.toml")),
    ("server-foundation-dev", include_str!("../../../recipes/server-foundation-dev.toml")),
    ("server-base", include_str!("../../../recipes/server-base.toml")),
    ("executor-layer", include_str!("../../../recipes/executor-layer.toml")),
    ("cloud-executor-layer", include_str!("../../../recipes/cloud-executor-layer.toml")),
    ("oocana-mount", include_str!("../../../recipes/oocana-mount.toml")),
    ("oocana-runtime", include_str!("../../../recipes/oocana-runtime.toml")),
];

/// The files that they name, by the paths that they have there.
pub(crate) const BUILT_IN_FILES: &[(&str, &str)] = &[
    ("../executors/requirements.txt", include_str!("../../../executors/requirements.txt")),
    ("../executors/node/bin/nodejs-executor", include_str!("../../../executors/node/bin/nodejs-executor")),
    ("../executors/node/package-lock.json", include_str!("../../../executors/node/package-lock.json")),
    ("../executors/node/package.json", include_str!("../../../executors/node/package.json")),
    ("../executors/node/sdk/index.d.ts", include_str!("../../../executors/node/sdk/index.d.ts")),
    ("../executors/node/sdk/index.js", include_str!("../../../executors/node/sdk/index.js")),
    ("../executors/node/sdk/package.json", include_str!("../../../executors/node/sdk/package.json")),
    ("../executors/node/sdk/tsconfig.json", include_str!("../../../executors/node/sdk/tsconfig.json")),
    ("../executors/node/src/args.ts", include_str!("../../../executors/node/src/args.ts")),
    ("../executors/node/src/bus.ts", include_str!("../../../executors/node/src/bus.ts")),
    ("../executors/node/src/context.ts", include_str!("../../../executors/node/src/context.ts")),
    ("../executors/node/src/deferred.ts", include_str!("../../../executors/node/src/deferred.ts")),
    ("../executors/node/src/errors.ts", include_str!("../../../executors/node/src/errors.ts")),
    ("../executors/node/src/job.ts", include_str!("../../../executors/node/src/job.ts")),
    ("../executors/node/src/loader.ts", include_str!("../../../executors/node/src/loader.ts")),
    ("../executors/node/src/log.ts", include_str!("../../../executors/node/src/log.ts")),
    ("../executors/node/src/main.ts", include_str!("../../../executors/node/src/main.ts")),
    ("../executors/node/src/messages.ts", include_str!("../../../executors/node/src/messages.ts")),
    ("../executors/node/src/mqtt/client.ts", include_str!("../../../executors/node/src/mqtt/client.ts")),
    ("../executors/node/src/mqtt/packet.ts", include_str!("../../../executors/node/src/mqtt/packet.ts")),
    ("../executors/node/src/mqtt/stream.ts", include_str!("../../../executors/node/src/mqtt/stream.ts")),
    ("../executors/node/src/processes.ts", include_str!("../../../executors/node/src/processes.ts")),
    ("../executors/node/src/program.ts", include_str!("../../../executors/node/src/program.ts")),
    ("../executors/node/src/progress.ts", include_str!("../../../executors/node/src/progress.ts")),
    ("../executors/node/src/run-block.ts", include_str!("../../../executors/node/src/run-block.ts")),
    ("../executors/node/src/runner.ts", include_str!("../../../executors/node/src/runner.ts")),
    ("../executors/node/src/secrets.ts", include_str!("../../../executors/node/src/secrets.ts")),
    ("../executors/node/src/service.ts", include_str!("../../../executors/node/src/service.ts")),
    ("../executors/node/src/services.ts", include_str!("../../../executors/node/src/services.ts")),
    ("../executors/node/src/stdio.ts", include_str!("../../../executors/node/src/stdio.ts")),
    ("../executors/node/src/table.ts", include_str!("../../../executors/node/src/table.ts")),
    ("../executors/node/src/text.ts", include_str!("../../../executors/node/src/text.ts")),
    (
        "../executors/node/src/typescript/cache.ts",
        include_str!("../../../executors/node/src/typescript/cache.ts"),
    ),
    (
        "../executors/node/src/typescript/enable.ts",
        include_str!("../../../executors/node/src/typescript/enable.ts"),
    ),
    (
        "../executors/node/src/typescript/hooks.ts",
        include_str!("../../../executors/node/src/typescript/hooks.ts"),
    ),
    (
        "../executors/node/src/typescript/transpile.ts",
        include_str!("../../../executors/node/src/typescript/transpile.ts"),
    ),
    ("../executors/node/src/values.ts", include_str!("../../../executors/node/src/values.ts")),
    ("../executors/node/tsconfig.json", include_str!("../../../executors/node/tsconfig.json")),
];
