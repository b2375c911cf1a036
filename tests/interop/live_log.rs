//! The log of a run is in the database while the run lasts.

use crate::original_database::NewJob;
use crate::stage::on_stage;
use crate::wait::until;
use crate::worker::SECRET;

#[test]
fn the_log_grows_while_the_run_lasts() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let _worker = stage.ready_worker("one", &[]);
        let next = stage.file("next");
        let script = format!(
            "#!/usr/bin/env bash\nfor n in 1 2 3; do\n  echo \"line $n\"\n  \
             for i in $(seq 600); do [ -e {0}.$n ] && break; sleep 0.1; done\ndone\n",
            next.display()
        );
        let run = stage.database.add_run(&NewJob::new("grows", script, "one"));
        let mut wanted = String::new();
        for n in 1..=3 {
            wanted.push_str(&format!("line {n}\n"));
            until(&format!("the log has line {n}"), 30, || {
                let log = stage.database.log(run).unwrap_or_default();
                assert!(wanted.starts_with(&log), "{log:?}");
                (log == wanted).then_some(())
            });
            assert_eq!(stage.database.picture().run(run).return_dts, None);
            std::fs::write(format!("{}.{n}", next.display()), "").expect("a file");
        }
        let picture = stage.returned(&[run], 30);
        assert_eq!(picture.run(run).return_success, Some(true));
        assert_eq!(picture.run(run).returns, 1);
        assert_eq!(stage.database.log(run).as_deref(), Some(&*wanted));
    });
}
