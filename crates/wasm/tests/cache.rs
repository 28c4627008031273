//! The artifact cache: it saves time, and whatever happens to it costs only time.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hlfuzz_wasm::{CacheStatus, Module, ModuleOptions};
use tempfile::TempDir;

fn wasm() -> Vec<u8> {
    wat::parse_str("(module (func (export \"f\") (param i32) (result i32) local.get 0))")
        .expect("test module")
}

fn load(dir: &Path) -> Module {
    let options = ModuleOptions { cache_dir: Some(dir.to_owned()), ..ModuleOptions::default() };
    Module::new(&wasm(), &options).expect("compiles with and without a cache")
}

fn off_reason(module: &Module) -> &str {
    match module.cache() {
        CacheStatus::Off(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// A cache folder with one artifact, and the file that holds it.
fn filled() -> (TempDir, PathBuf, PathBuf) {
    let parent = tempfile::tempdir().expect("temporary folder");
    let dir = parent.path().join("hlfuzz");
    assert_eq!(load(&dir).cache(), &CacheStatus::Miss);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&dir).expect("cache folder").map(|e| e.expect("entry").path()).collect();
    assert_eq!(files.len(), 1, "no temporary file is left");
    (parent, dir, files.remove(0))
}

/// Checks that what now lies in place of the artifact is not used, and that the next load but one is a hit again.
fn ignored_and_rebuilt(dir: &Path, what: &str) {
    let expected = Module::new(&wasm(), &ModuleOptions::default()).expect("compiles");
    let rebuilt = load(dir);
    assert_eq!(rebuilt.cache(), &CacheStatus::Miss, "{what}");
    assert_eq!(rebuilt.artifact(), expected.artifact(), "{what}");
    let hit = load(dir);
    assert_eq!(hit.cache(), &CacheStatus::Hit, "{what}");
    assert_eq!(hit.artifact(), expected.artifact(), "{what}");
}

#[test]
fn the_second_load_is_a_hit_with_the_same_artifact() {
    let (_parent, dir, _) = filled();
    let compiled = Module::new(&wasm(), &ModuleOptions::default()).expect("compiles");
    let cached = load(&dir);
    assert_eq!(cached.cache(), &CacheStatus::Hit);
    assert_eq!(cached.artifact(), compiled.artifact());
    assert_eq!(cached.info(), compiled.info());
}

#[test]
fn a_module_whose_artifact_is_there_is_described_as_without_one_and_not_validated_again() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let options = ModuleOptions { cache_dir: Some(parent.path().join("c")), ..ModuleOptions::default() };
    let wasm = wat::parse_str(
        "(module (memory 1) (func (export \"f\") (param v128) (result v128 v128) local.get 0 local.get 0)
           (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 9))))",
    )
    .expect("test module");
    let plain = hlfuzz_wasm::inspect(&wasm).expect("valid");
    assert_eq!(plain.features, ["multi-value", "bulk-memory", "simd"]);
    assert_eq!(Module::describe(&wasm, &options).expect("valid"), plain);
    Module::new(&wasm, &options).expect("compiles");
    assert_eq!(Module::describe(&wasm, &options).expect("valid"), plain);
    // the file says what was found then: with other names in it, and its sums right, these are what is said
    let file =
        fs::read_dir(parent.path().join("c")).expect("folder").next().expect("file").expect("entry").path();
    let mut forged = fs::read(&file).expect("artifact");
    let at = forged.windows(4).position(|bytes| bytes == b"simd").expect("a name");
    forged[at..at + 4].copy_from_slice(b"SIMD");
    fs::write(&file, &forged).expect("write");
    assert_eq!(Module::describe(&wasm, &options).expect("valid"), plain, "a wrong sum is not believed");
    let end = at + 5;
    let sum = <sha2::Sha256 as sha2::Digest>::digest(&forged[..end]);
    forged[end..end + 32].copy_from_slice(&sum);
    fs::write(&file, &forged).expect("write");
    assert_eq!(
        Module::describe(&wasm, &options).expect("valid").features,
        ["multi-value", "bulk-memory", "SIMD"]
    );
}

#[test]
fn folder_and_file_are_private() {
    let (_parent, dir, file) = filled();
    assert_eq!(fs::metadata(dir).expect("folder").mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(file).expect("file").mode() & 0o777, 0o600);
}

#[test]
fn a_truncated_file_is_rebuilt() {
    let (_parent, dir, file) = filled();
    let whole = fs::read(&file).expect("artifact");
    for length in [0, 1, 19, 84, 85, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).expect("write");
        ignored_and_rebuilt(&dir, &format!("{length} bytes"));
    }
    fs::write(&file, [&whole[..], b"more"].concat()).expect("write");
    ignored_and_rebuilt(&dir, "longer");
}

#[test]
fn a_flipped_bit_is_rebuilt() {
    let (_parent, dir, file) = filled();
    let whole = fs::read(&file).expect("artifact");
    let offsets = (0..84).chain((84..whole.len()).step_by(whole.len() / 16));
    for offset in offsets {
        let mut flipped = whole.clone();
        flipped[offset] ^= 0x10;
        fs::write(&file, flipped).expect("write");
        ignored_and_rebuilt(&dir, &format!("bit in byte {offset}"));
    }
}

#[test]
fn the_artifact_of_another_module_is_not_used() {
    let (_parent, dir, file) = filled();
    let other = wat::parse_str("(module (func (export \"g\")))").expect("test module");
    let options = ModuleOptions { cache_dir: Some(dir.clone()), ..ModuleOptions::default() };
    Module::new(&other, &options).expect("compiles");
    let other_file = fs::read_dir(&dir)
        .expect("cache folder")
        .map(|entry| entry.expect("entry").path())
        .find(|path| *path != file)
        .expect("second artifact");
    fs::copy(other_file, &file).expect("copy");
    ignored_and_rebuilt(&dir, "another module's artifact");
}

#[test]
fn a_link_in_place_is_replaced_and_its_target_left_alone() {
    let (parent, dir, file) = filled();
    let target = parent.path().join("target");
    fs::rename(&file, &target).expect("rename");
    symlink(&target, &file).expect("link");
    let before = fs::read(&target).expect("target");
    ignored_and_rebuilt(&dir, "link");
    assert_eq!(fs::read(&target).expect("target"), before);
    assert!(!fs::symlink_metadata(&file).expect("file").is_symlink());
}

#[test]
fn a_fifo_in_place_does_not_block() {
    let (_parent, dir, file) = filled();
    fs::remove_file(&file).expect("remove");
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo").success());
    ignored_and_rebuilt(&dir, "fifo");
}

#[test]
fn a_folder_in_place_of_the_artifact_turns_the_cache_off() {
    let (_parent, dir, file) = filled();
    fs::remove_file(&file).expect("remove");
    fs::create_dir(&file).expect("folder");
    assert!(off_reason(&load(&dir)).contains("cannot store"));
    let files = fs::read_dir(&dir).expect("cache folder").count();
    assert_eq!(files, 1, "the temporary file is removed");
}

#[test]
fn a_file_in_place_of_the_folder_turns_the_cache_off() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let file = parent.path().join("file");
    fs::write(&file, b"mine").expect("write");
    assert!(!off_reason(&load(&file)).is_empty());
    assert!(!off_reason(&load(&file.join("below"))).is_empty());
    assert_eq!(fs::read(&file).expect("file"), b"mine");
}

#[test]
fn a_folder_that_others_can_write_to_is_not_trusted() {
    let (_parent, dir, _) = filled();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("chmod");
    assert!(off_reason(&load(&dir)).contains("chmod go-w"));
}

#[test]
fn a_full_disk_turns_the_cache_off() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let dir = parent.path().join("small");
    fs::create_dir(&dir).expect("folder");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("chmod");
    // A file size limit stands for a full disk: writing fails half way.
    let output = child(&dir, "FILE_LIMIT").output().expect("child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(&dir).expect("folder").count(), 0, "nothing half-written is left");
}

#[test]
fn processes_race_on_one_folder() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let dir = parent.path().join("shared");
    let mut children: Vec<_> = (0..4)
        .map(|_| child(&dir, "RACE").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("child"))
        .collect();
    // All wait for a line, so that they start together.
    for child in &mut children {
        child.stdin.take().expect("pipe").write_all(b"go\n").expect("write");
    }
    for child in children {
        let output = child.wait_with_output().expect("child");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(load(&dir).cache(), &CacheStatus::Hit);
    assert_eq!(fs::read_dir(&dir).expect("folder").count(), 1);
}

/// This test binary again, running only [`in_a_child_process`] with the given part to play.
fn child(dir: &Path, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "in_a_child_process", "--nocapture"]).env("HLFUZZ_TEST_PART", part);
    command.env("HLFUZZ_TEST_DIR", dir);
    command
}

#[test]
fn in_a_child_process() {
    let (Ok(part), Some(dir)) = (std::env::var("HLFUZZ_TEST_PART"), std::env::var_os("HLFUZZ_TEST_DIR"))
    else {
        return;
    };
    let dir = PathBuf::from(dir);
    match part.as_str() {
        "RACE" => {
            std::io::stdin().read_line(&mut String::new()).expect("signal to start");
            let expected = load(&dir).artifact().to_vec();
            for _ in 0..200 {
                // Each round begins without the file, so that loads, stores and removals interleave.
                for entry in fs::read_dir(&dir).expect("folder").flatten() {
                    if entry.path().extension().is_none() {
                        let _ = fs::remove_file(entry.path());
                    }
                }
                let module = load(&dir);
                assert_eq!(module.artifact(), expected);
                assert!(!matches!(module.cache(), CacheStatus::Off(_)), "{:?}", module.cache());
            }
        }
        "FILE_LIMIT" => {
            let limit = libc::rlimit { rlim_cur: 1000, rlim_max: 1000 };
            // SAFETY: both calls take plain values and change only this process; ignoring SIGXFSZ makes writes fail
            // with an error instead of a signal.
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
            }
            assert!(off_reason(&load(&dir)).contains("cannot store"));
        }
        other => panic!("unknown part {other}"),
    }
}
