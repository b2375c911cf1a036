//! What a shim does with its order, one step at a time, in the order of `execution::shim::job`.

use super::world::{Record, Shim, World};

/// How shims differ from ours in a test that shows that the model can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShimRules {
    /// Executes though the record is there already.
    pub takes_any_licence: bool,
    /// Executes though the script's file is gone.
    pub ignores_missing_script: bool,
}

impl World {
    /// The next step of the shim of an attempt; `None` where it has none.
    pub fn shim_step(&self, attempt: usize, rules: ShimRules) -> Option<Self> {
        let mut world = self.clone();
        let record = &mut world.disk.records[attempt];
        world.shims[attempt] = match self.shims[attempt] {
            Shim::Ordered if record.is_some() && !rules.takes_any_licence => Shim::Refused,
            Shim::Ordered => {
                *record = Some(Record::Empty);
                Shim::Licensed
            }
            Shim::Licensed if !self.disk.files[attempt] && !rules.ignores_missing_script => {
                *record = None;
                Shim::Refused
            }
            Shim::Licensed => {
                *record = Some(Record::Begun);
                Shim::Begun
            }
            Shim::Begun => {
                world.scripts[attempt].executions += 1;
                world.scripts[attempt].is_alive = true;
                Shim::Spawned
            }
            Shim::Spawned => {
                *record = Some(Record::Spawned);
                Shim::Running
            }
            Shim::Running => {
                world.scripts[attempt].is_alive = false;
                Shim::Exited
            }
            Shim::Exited => {
                world.disk.files[attempt] = false;
                *record = Some(Record::Ended);
                Shim::Done
            }
            Shim::None | Shim::Done | Shim::Refused | Shim::Dead => return None,
        };
        Some(world)
    }
}
