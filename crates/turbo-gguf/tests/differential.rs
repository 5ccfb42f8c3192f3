//! Our reader against gguf-rs-lib on every sound fixture, and on what each says to a broken one.

mod common;

use std::path::{Path, PathBuf};

use turbo_gguf::validate::{Verdict, check, validate};
use turbo_gguf::{GgmlType, GgufFile};
use turbo_testkit::{GgufBuilder, fixture, shared, workspace};

/// All GGUF files under a folder.
fn gguf_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(gguf_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "gguf") {
            found.push(path);
        }
    }
    found
}

/// Compares the readers on all files of a folder; returns how many both accept.
fn compare(folder: &Path) -> usize {
    let mut compared = 0;
    for path in gguf_files(folder) {
        let shown = path.display();
        let bytes = std::fs::read(&path).expect("a readable file");
        match GgufFile::open(&path) {
            Err(error) => {
                assert!(check(&bytes).is_err(), "only gguf-rs-lib accepts {shown}: {error}");
            }
            Ok(file) => match validate(&file) {
                Verdict::Valid => {
                    common::assert_same(&file, &bytes);
                    compared += 1;
                }
                Verdict::Refused { reason, known_limit, .. } => {
                    assert!(known_limit.is_some(), "only we accept {shown}: {reason}");
                    eprintln!("{shown}: {reason} ({})", known_limit.unwrap_or_default());
                }
            },
        }
    }
    compared
}

#[test]
fn committed_fixtures_read_the_same() {
    fixture("bad/control_good.gguf");
    let compared = compare(&workspace().join("tests/fixtures"));
    eprintln!("{compared} committed files read the same");
    assert!(compared >= 5);
}

#[test]
fn shared_fixtures_and_models_read_the_same() {
    for (folder, at_least) in [
        ("fixtures/arch", 10),
        ("fixtures/quant", 20),
        ("fixtures/quant_models", 6),
        ("fixtures/vocab", 1),
        ("fixtures/bad", 5),
        ("models", 4),
    ] {
        let Some(folder) = shared(folder) else {
            continue;
        };
        let compared = compare(&folder);
        eprintln!("{}: {compared} files read the same", folder.display());
        assert!(compared >= at_least, "{}: {compared}", folder.display());
    }
}

#[test]
fn block_geometry_is_the_same() {
    for &ty in GgmlType::ALL {
        let (values, bytes) = (ty.block_values() as u64, ty.block_bytes());
        let file = GgufBuilder::new(3).tensor("w", &[3 * values, 2], ty.id(), &vec![1; 6 * bytes]).build();
        let ours = GgufFile::from_vec("m.gguf", file.clone()).expect("a sound file");
        common::assert_same(&ours, &file);
    }
}
