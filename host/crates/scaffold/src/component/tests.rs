use std::fs;

use wit_component::{StringEncoding, embed_component_metadata};

use super::*;

const WORLD: &str = "package a:b; world w { import c: interface { f: func() -> u32; } export g: func(); }";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.wit"), WORLD).unwrap();
    folder
}

/// A module that exports `g`, by hand: one type, one function, one export, one empty body; perhaps an import.
fn core_module(import: Option<(&str, &str)>) -> Vec<u8> {
    let mut octets = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, content: &[u8]| {
        octets.extend([id, u8::try_from(content.len()).unwrap()]);
        octets.extend(content);
    };
    section(1, &[1, 0x60, 0, 0]);
    if let Some((module, name)) = import {
        let named = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        section(2, &[&[1][..], &named(module), &named(name), &[0, 0]].concat());
    }
    section(3, &[1, 0]);
    section(7, &[1, 1, b'g', 0, u8::from(import.is_some())]);
    section(10, &[1, 2, 0, 0x0B]);
    octets
}

fn described(mut core: Vec<u8>) -> Vec<u8> {
    let folder = folder();
    let (resolve, world) = read(folder.path(), "w").unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    core
}

#[test]
fn bindings_are_a_source_a_header_and_an_object_that_describes_the_world() {
    let files = bindings_c(folder().path(), "w").unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["w.c", "w.h", "w_component_type.o"]);
    let header = String::from_utf8(files[1].1.clone()).unwrap();
    assert!(header.contains("uint32_t c_f(void);"), "{header}");
    assert!(files[2].1.starts_with(b"\0asm"));
}

#[test]
fn a_world_that_is_not_there_is_named() {
    let folder = folder();
    let error = bindings_c(folder.path(), "v").unwrap_err().to_string();
    assert!(error.contains("World `v` not found"), "{error}");
    fs::write(folder.path().join("w.wit"), "package a:b; world w {").unwrap();
    let error = bindings_c(folder.path(), "w").unwrap_err().to_string();
    assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
}

#[test]
fn a_module_with_its_description_becomes_a_component() {
    let component = componentize(&described(core_module(None))).unwrap();
    let found = inspect(&component).unwrap();
    assert_eq!(found, Interfaces { imports: Vec::new(), exports: vec!["g".to_owned()] });
}

#[test]
fn a_module_without_a_description_or_with_another_import_does_not() {
    assert!(matches!(componentize(b"#!/bin/sh"), Err(ScaffoldError::Module { .. })));
    assert!(matches!(componentize(&core_module(None)), Err(ScaffoldError::Module { .. })));
    let files = described(core_module(Some(("wasi_snapshot_preview1", "sched_yield"))));
    let error = componentize(&files).unwrap_err().to_string();
    assert!(error.contains("wasi_snapshot_preview1"), "{error}");
}

#[test]
fn a_core_module_is_no_component() {
    let error = inspect(&core_module(None)).unwrap_err();
    assert!(matches!(error, ScaffoldError::Component { .. }), "{error}");
}
