//! What a new project consists of, by language. `{{name}}` in a text is the plugin's name.
//!
//! What does not depend on the policy comes from `plugins/examples`, which are built and run by the suite: packages and their versions,
//! texts and JSON for C.

use crate::Language;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The world of a plugin that is not in Rust; its bindings for C are called so, too.
pub(crate) const WORLD: &str = "policy";

/// Paths and contents.
pub(crate) type Files = Vec<(String, String)>;

/// All that is text, with the plugin's name in it.
pub(crate) fn files(name: &str, language: Language) -> Files {
    let mut files = vec![
        file(".gitignore", include_str!("../templates/gitignore")),
        file("config.json", include_str!("../templates/config.json")),
        file("fixtures/first.json", include_str!("../templates/first.json")),
    ];
    files.extend(match language {
        Language::Rust => rust(),
        Language::Js => js(),
        Language::Python => python(),
        Language::C => c(),
    });
    for (_, text) in &mut files {
        *text = text.replace("{{name}}", name);
    }
    // The contract and the SDK are as they are.
    files.extend(contract(language));
    files
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

fn rust() -> Files {
    vec![
        file(".cargo/config.toml", include_str!("../../../../.cargo/config.toml")),
        file("Cargo.toml", include_str!("../templates/rust/Cargo.toml.in")),
        file("README.md", include_str!("../templates/rust/README.md")),
        file("src/lib.rs", include_str!("../templates/rust/lib.rs")),
    ]
}

fn js() -> Files {
    let package = include_str!("../../../../plugins/examples/js/package.json");
    // What is built is called as the plugin, what it is built from as the world.
    let package = package.replace("dist/doorman.wasm", "dist/{{name}}.wasm");
    vec![
        file("README.md", include_str!("../templates/js/README.md")),
        file("build.sh", include_str!("../templates/js/build.sh")),
        file("package-lock.json", include_str!("../../../../plugins/examples/js/package-lock.json")),
        file("package.json", &renamed(&package)),
        file("policy.js", include_str!("../templates/js/policy.js")),
    ]
}

fn python() -> Files {
    vec![
        file("README.md", include_str!("../templates/python/README.md")),
        file("build.sh", include_str!("../templates/python/build.sh")),
        file("policy.py", include_str!("../templates/python/policy.py")),
        file("requirements.txt", include_str!("../../../../plugins/examples/python/requirements.txt")),
    ]
}

fn c() -> Files {
    vec![
        file("README.md", include_str!("../templates/c/README.md")),
        file("build.sh", include_str!("../templates/c/build.sh")),
        file("policy.c", include_str!("../templates/c/policy.c")),
        file("json.c", &renamed(include_str!("../../../../plugins/examples/c/json.c"))),
        file("json.h", &renamed(include_str!("../../../../plugins/examples/c/json.h"))),
        file("text.c", &renamed(include_str!("../../../../plugins/examples/c/text.c"))),
        file("text.h", &renamed(include_str!("../../../../plugins/examples/c/text.h"))),
    ]
}

/// The example's world is called otherwise.
fn renamed(text: &str) -> String {
    text.replace("doorman", WORLD)
}

/// The contract: for Rust with the SDK, which has a world for each hook; for the others as a dependency of their own world.
fn contract(language: Language) -> Files {
    let under = |folder: &str, files: &[(&str, &str)]| -> Files {
        files.iter().map(|(path, text)| file(&format!("{folder}/{path}"), text)).collect()
    };
    if language == Language::Rust {
        let manifest = vec![file("sdk/Cargo.toml", SDK_MANIFEST)];
        return [manifest, under("sdk/src", SDK), under("wit", WIT)].concat();
    }
    let world = vec![file("wit/policy.wit", include_str!("../templates/world.wit"))];
    [world, under("wit/deps/maitred", WIT)].concat()
}
