use super::*;

fn made(name: &str, language: Language) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let files = new_project(name, language, &folder.path().join(name)).unwrap();
    let names = files.iter().map(|file| {
        let path = file.strip_prefix(folder.path().join(name)).unwrap();
        path.to_str().unwrap().replace('\\', "/")
    });
    let names = names.collect();
    (folder, names)
}

fn has(files: &[String], wanted: &[&str]) {
    for path in wanted {
        assert!(files.iter().any(|file| file == path), "no {path} in {files:?}");
    }
}

#[test]
fn each_language_has_its_files() {
    let shared = ["README.md", ".gitignore", "config.json", "fixtures/first.json"];
    let of = |language: Language| match language {
        Language::Rust => ["Cargo.toml", "src/lib.rs", "sdk/Cargo.toml", "sdk/src/lib.rs", "wit/hooks.wit"],
        Language::Js => ["package.json", "package-lock.json", "policy.js", "build.sh", "wit/policy.wit"],
        Language::Python => {
            ["requirements.txt", "policy.py", "build.sh", "wit/policy.wit", "wit/deps/maitred/hooks.wit"]
        }
        Language::C => ["policy.c", "text.h", "bindings/policy.h", "bindings/policy.c", "wit/policy.wit"],
    };
    for language in Language::ALL {
        let (_folder, files) = made("mine", language);
        has(&files, &shared);
        has(&files, &of(language));
    }
}

#[test]
fn the_name_is_in_place_everywhere() {
    for language in Language::ALL {
        let (folder, files) = made("my-filter_2", language);
        let mut times = 0;
        for file in &files {
            // The bindings' object file is no text.
            let text = fs::read_to_string(folder.path().join("my-filter_2").join(file)).unwrap_or_default();
            assert!(!text.contains("{{") || file.starts_with("sdk/"), "{language}: {file}");
            assert!(!text.contains("doorman") || file.starts_with("sdk/"), "{language}: {file}");
            times += text.matches("my-filter_2").count();
        }
        assert!(times > 3, "{language}: {times}");
    }
}

#[test]
fn the_sdk_stands_on_its_own() {
    let (folder, _) = made("mine", Language::Rust);
    let manifest = fs::read_to_string(folder.path().join("mine/sdk/Cargo.toml")).unwrap();
    assert!(manifest.contains("\nedition = \"2024\"\n"), "{manifest}");
    assert!(manifest.contains("\nwit-bindgen = { version = \""), "{manifest}");
    assert!(!manifest.contains("workspace"), "{manifest}");
}

#[test]
fn the_world_of_each_project_is_one() {
    for language in [Language::Js, Language::Python, Language::C] {
        let (folder, _) = made("mine", language);
        assert!(bindings_c(&folder.path().join("mine/wit"), WORLD).is_ok(), "{language}");
    }
}

#[test]
#[cfg(unix)]
fn a_script_may_be_run_by_who_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, _) = made("mine", Language::C);
    let mode = |file: &str| {
        fs::metadata(folder.path().join("mine").join(file)).unwrap().permissions().mode() & 0o777
    };
    let readable = mode("policy.c");
    assert_eq!(mode("build.sh"), readable | (readable & 0o444) >> 2);
}

#[test]
fn what_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    // An empty folder may be there already.
    new_project("mine", Language::Js, folder.path()).unwrap();
    let again = new_project("mine", Language::Js, folder.path());
    assert!(matches!(again, Err(ScaffoldError::NotEmpty { .. })), "{again:?}");
    let on_a_file = new_project("mine", Language::Js, &folder.path().join("policy.js"));
    assert!(matches!(on_a_file, Err(ScaffoldError::NotEmpty { .. })), "{on_a_file:?}");
}

#[test]
fn a_name_is_one_that_the_server_and_cargo_take() {
    let folder = tempfile::tempdir().unwrap();
    let long = "n".repeat(NAME_OCTETS_MAX + 1);
    for name in ["", "-a", "2a", "a b", "a/b", "..", "ä", "a.b", &long] {
        let made = new_project(name, Language::Rust, &folder.path().join("x"));
        assert!(matches!(made, Err(ScaffoldError::Name { .. })), "{name}: {made:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(new_project(&long[1..], Language::Python, &folder.path().join("x")).is_ok());
}

#[test]
fn a_language_is_known_by_its_name() {
    for language in Language::ALL {
        assert_eq!(language.to_string().parse::<Language>().unwrap(), language);
    }
    assert!("cobol".parse::<Language>().unwrap_err().to_string().contains("cobol"));
}
