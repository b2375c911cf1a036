//! Links the C++ library that ZeroMQ needs into the programs of a release: started as a shim, a program is started for a
//! script, and each library more costs it time and memory.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CXX");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && let Some(archive) = archive()
        && let Some(out) = env::var_os("OUT_DIR")
    {
        // The linker takes the first of that name, be it shared or not. Where this fails, the system's is as good.
        let ours = Path::new(&out).join("libstdc++.a");
        let _ = std::fs::remove_file(&ours);
        if symlink(archive, ours).is_ok() {
            println!("cargo:rustc-link-search=native={}", Path::new(&out).display());
        }
    }
}

/// Where the compiler has the library as an archive, if it has.
fn archive() -> Option<PathBuf> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let answer = Command::new(compiler).arg("-print-file-name=libstdc++.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    path.is_absolute().then_some(path).filter(|path| path.exists())
}
