//! The scripts that are run.

/// Does nothing.
pub const NOTHING: &str = "#!/bin/sh\n:\n";

/// Says when it began and when it ended, and does this in between.
fn between(what: &str) -> String {
    format!("#!/bin/bash\necho \"S=$EPOCHREALTIME\"\n{what}\necho \"E=$EPOCHREALTIME\"\n")
}

/// Says when it was there.
pub fn says_when() -> String {
    between(":")
}

/// Sleeps.
pub fn sleeps(seconds: u32) -> String {
    between(&format!("sleep {seconds}"))
}

/// Prints so many MiB.
pub fn prints(mib: u32) -> String {
    let bytes = u64::from(mib) << 20;
    between(&format!("yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c {bytes}"))
}

/// A tree of 50 processes on three levels: this one, 7 below it, 6 below each of these.
pub const TREE: &str = "\
#!/bin/bash
for i in 1 2 3 4 5 6 7; do
  (for j in 1 2 3 4 5 6; do sleep 600 & done; wait) &
done
wait
";
/// How many that are.
pub const TREE_SIZE: usize = 50;
