//! Models split over several files.

use std::path::{Path, PathBuf};

use turbo_gguf::GgufFile;
use turbo_gguf::validate::{Verdict, validate};
use turbo_testkit::gguf::write_parts;
use turbo_testkit::{GgufBuilder, Kv};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("split").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a test folder");
    folder
}

fn model() -> GgufBuilder {
    let start = GgufBuilder::new(3).kv("general.architecture", Kv::str("llama"));
    (0..5).fold(start, |model, i| model.tensor(&format!("t{i}"), &[4], 24, &[i; 4]))
}

fn refusal(path: &Path) -> String {
    let message = GgufFile::open(path).expect_err("a broken set must be refused").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn any_part_opens_the_whole() {
    let paths = write_parts(&folder("any"), "m", &model().split(3));
    for path in &paths {
        let file = GgufFile::open(path).expect("the whole model");
        assert_eq!(file.path(), paths[0].display().to_string());
        assert_eq!(file.part_paths().len(), 3);
        assert_eq!(file.metadata().get_str("general.architecture").expect("a string"), Some("llama"));
        let bytes: u64 = paths.iter().map(|path| path.metadata().expect("a part").len()).sum();
        assert_eq!(file.file_bytes(), bytes);
        assert_eq!(file.tensors().len(), 5);
        for (i, tensor) in file.tensors().iter().enumerate() {
            assert_eq!((tensor.name.as_str(), tensor.part()), (format!("t{i}").as_str(), i / 2));
            assert_eq!(file.data(tensor).expect("data"), [i as u8; 4]);
        }
        assert_eq!(validate(&file), Verdict::Valid);
    }
}

#[test]
fn a_first_part_without_tensors_is_fine() {
    let mut parts = model().split(1);
    parts.insert(0, GgufBuilder::new(3));
    let parts: Vec<_> = (0..2u16)
        .map(|i| {
            let base = if i == 0 {
                GgufBuilder::new(3).kv("a", Kv::U8(1))
            } else {
                GgufBuilder::new(3).tensor("t", &[1], 24, &[1])
            };
            base.kv("split.no", Kv::U16(i)).kv("split.count", Kv::U16(2)).kv("split.tensors.count", Kv::I32(1))
        })
        .collect();
    let paths = write_parts(&folder("metadata-first"), "m", &parts);
    let file = GgufFile::open(&paths[0]).expect("the whole model");
    assert_eq!(file.data(&file.tensors()[0]).expect("data"), [1]);
}

#[test]
fn one_part_is_a_whole_model() {
    let bytes = model().split(1)[0].build();
    GgufFile::from_vec("m.gguf", bytes).expect("split.count = 1");
}

#[test]
fn a_missing_part_is_named() {
    let paths = write_parts(&folder("missing"), "m", &model().split(3));
    std::fs::remove_file(&paths[1]).expect("removing part 2");
    for path in [&paths[0], &paths[2]] {
        let message = refusal(path);
        assert!(
            message.contains("m-00002-of-00003.gguf: is part 2 of 3 of a split model and cannot be opened"),
            "{message}"
        );
    }
    std::fs::remove_file(&paths[0]).expect("removing part 1");
    let message = refusal(&paths[2]);
    assert!(message.contains("m-00001-of-00003.gguf: is part 1 of 3 of a split model"), "{message}");
}

#[test]
fn a_renamed_part_is_refused() {
    let folder = folder("renamed");
    let path = folder.join("model.gguf");
    std::fs::write(&path, model().split(3)[0].build()).expect("a part");
    let message = refusal(&path);
    assert!(message.ends_with("is one of 3 parts of a split model, expected a file name ending in -00001-of-00003.gguf; give the parts their original names"), "{message}");
    let paths = write_parts(&folder, "m", &model().split(3));
    std::fs::copy(&paths[2], &paths[1]).expect("part 3 in the place of part 2");
    let message = refusal(&paths[0]);
    assert!(
        message.ends_with("m-00002-of-00003.gguf: key \"split.no\" is 2, expected 1; the parts do not belong together"),
        "{message}"
    );
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let folder = folder("contradict");
    let paths = write_parts(&folder, "a", &model().split(2));
    std::fs::write(&paths[1], model().split(3)[1].build()).expect("a part of another set");
    let message = refusal(&paths[0]);
    assert!(
        message
            .ends_with("a-00002-of-00002.gguf: key \"split.count\" is 3, expected 2; the parts do not belong together"),
        "{message}"
    );

    std::fs::write(&paths[1], GgufBuilder::new(3).build()).expect("a file that is no part");
    let message = refusal(&paths[0]);
    assert!(message.contains("key \"split.count\" is absent, expected 2"), "{message}");

    let mut parts = model().split(2);
    parts[1] = GgufBuilder::new(3).kv("split.no", Kv::U16(1)).kv("split.count", Kv::U16(2));
    let message = refusal(&write_parts(&folder, "b", &parts)[0]);
    assert!(
        message.ends_with(
            "key \"split.tensors.count\" is 5, but the 2 parts hold 3 tensors; the parts do not belong together"
        ),
        "{message}"
    );

    parts[1] = parts[1].clone().tensor("t0", &[1], 24, &[0]).tensor("x", &[1], 24, &[0]);
    let message = refusal(&write_parts(&folder, "c", &parts)[0]);
    assert!(message.ends_with("c-00002-of-00002.gguf: tensor \"t0\" occurs twice"), "{message}");
}

#[test]
fn a_broken_part_is_named() {
    let paths = write_parts(&folder("broken"), "m", &model().split(2));
    std::fs::write(&paths[1], b"GGML").expect("a broken part");
    let message = refusal(&paths[0]);
    assert!(message.contains("m-00002-of-00002.gguf: not a GGUF file"), "{message}");
}

#[test]
fn wrong_split_keys_are_refused() {
    let bytes = model().kv("split.count", Kv::str("3")).build();
    let message = GgufFile::from_vec("m.gguf", bytes).expect_err("a string").to_string();
    assert_eq!(message, "m.gguf: key \"split.count\" is string \"3\", expected a non-negative integer");
    let bytes = model().split(3)[0].build();
    let message = GgufFile::from_vec("m.gguf", bytes).expect_err("only a part").to_string();
    assert_eq!(message, "m.gguf: is one of 3 parts of a split model, expected a whole model in memory");
}
