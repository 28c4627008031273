//! From a runtime and an artifact to a snapshot: a VM that instantiates the module and is then frozen.

use crate::deadline::{Deadline, kick_signal};
use crate::error::{Error, Kind, Result};
use crate::host::{Host, Tracking};
use crate::image::Image;
use crate::layout::{Guest, Layout};
use crate::machine::Machine;
use crate::mapping::{Mapping, memory_file};
use crate::reset::HotSet;
use crate::sandbox::{Interface, Level, Options, Sandbox, Status, Transport, new_mailbox};
use crate::savefile::Identity;
use crate::snapshot::{PAGE, Snapshot};
use hlfuzz_abi::{MAX_VALUES, Value, transport};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// A snapshot with what is needed to make sandboxes of it. Immutable; any thread.
pub struct Template {
    pub(crate) snapshot: Arc<Snapshot>,
    interface: Arc<Interface>,
    tracking: Tracking,
    pub(crate) memory: (u64, u64),
    /// The VM that booted. It never runs again; closing one takes half a millisecond, which the first result of a fresh
    /// sandbox need not wait for.
    _retired: Option<Arc<Machine>>,
}

impl Template {
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        interface: Arc<Interface>,
        tracking: Tracking,
        memory: (u64, u64),
        retired: Option<Arc<Machine>>,
    ) -> Self {
        Self { snapshot, interface, tracking, memory, _retired: retired }
    }

    pub fn sandbox(&self, options: Options) -> Result<Sandbox> {
        if self.snapshot.fork.in_child() {
            return Err(Error::new(
                Kind::Forked,
                "this guest was booted in the parent process; load it again after fork",
            ));
        }
        if self.layout().guest == Guest::Native && options.level != Level::Strict {
            return Err(Error::new(
                Kind::Argument,
                "a native guest needs the reset level strict: it can keep state in registers",
            ));
        }
        if self.identity().from_file && options.level != Level::Strict {
            return Err(Error::new(
                Kind::Argument,
                "a state that was loaded from a file needs the reset level strict: whoever made the file may have \
                 changed the runtime in it",
            ));
        }
        Sandbox::new(self.snapshot.clone(), self.interface.clone(), self.tracking, self.memory, options)
    }

    pub fn layout(&self) -> &Layout {
        self.snapshot.layout()
    }

    /// Bytes of guest RAM that hold data.
    pub fn data_bytes(&self) -> u64 {
        self.snapshot.data_pages() * PAGE as u64
    }

    /// What its state belongs to.
    pub fn identity(&self) -> &Identity {
        &self.snapshot.identity
    }
}

/// A VM that instantiates a module. `run` behaves like a call: it may ask for host functions.
pub struct Boot {
    /// None once it became a template.
    sandbox: Option<Sandbox>,
    file: File,
    layout: Arc<Layout>,
    host: Arc<Host>,
    tracking: Tracking,
    started: bool,
    identity: Arc<Identity>,
}

impl Boot {
    /// `globals`: the values of imported globals, in order.
    pub fn new(
        host: Arc<Host>,
        image: &impl Image,
        interface: Arc<Interface>,
        globals: &[Value],
        tracking: Tracking,
        deadline: Deadline,
        slice: Option<Duration>,
    ) -> Result<Self> {
        if globals.len() > MAX_VALUES {
            return Err(Error::new(
                Kind::Link,
                format!("{} imported globals; {MAX_VALUES} can be given", globals.len()),
            ));
        }
        let counts = interface.exports.iter().chain(&interface.imports).flatten();
        if let Some((params, results)) = counts.copied().find(|(p, r)| (*p).max(*r) as usize > MAX_VALUES) {
            return Err(Error::new(
                Kind::Link,
                format!(
                    "a function with {params} parameters and {results} results; at most {MAX_VALUES} of each"
                ),
            ));
        }
        let size = image.ram_size()?;
        let file = memory_file(size)?;
        let ram = Arc::new(Mapping::shared(&file, size as usize, "guest RAM")?);
        for range in image.filled(size)? {
            ram.populate(range);
        }
        // SAFETY: a fresh mapping of this size that nobody else knows of.
        let bytes = unsafe { std::slice::from_raw_parts_mut(ram.as_ptr(), ram.len()) };
        let layout = Arc::new(image.build(bytes)?);
        let mailbox = Arc::new(new_mailbox()?);
        let machine = Machine::new(&host, &ram, &mailbox, None)?;
        machine.only_signal(kick_signal())?;
        machine.start_at(&layout)?;
        let hot = HotSet::new(size as usize / PAGE, true, false);
        let options = Options { transport: Transport::Exit, deadline, slice, ..Options::default() };
        let mut sandbox = Sandbox::assemble(machine, mailbox, ram, interface, layout.clone(), hot, options);
        sandbox.set_control(transport::EXIT);
        sandbox.give_globals(globals);
        Ok(Self {
            sandbox: Some(sandbox),
            file,
            layout,
            host,
            tracking,
            started: false,
            identity: Arc::default(),
        })
    }

    /// Says what the state will belong to. Without it a snapshot cannot be saved.
    pub fn identify(&mut self, identity: Identity) {
        self.identity = Arc::new(identity);
    }

    /// Instantiates; ends like a call.
    pub fn run(&mut self) -> Status {
        if std::mem::replace(&mut self.started, true) {
            return Status::Busy;
        }
        self.sandbox.as_mut().map_or(Status::Dead, Sandbox::first_run)
    }

    /// For `resume`, `fail`, memory access and messages while the start function runs; None once it is a template.
    pub fn sandbox(&mut self) -> Option<&mut Sandbox> {
        self.sandbox.as_mut()
    }

    pub fn sandbox_ref(&self) -> Option<&Sandbox> {
        self.sandbox.as_ref()
    }

    /// Freezes the VM after `run` ended with `Status::Done`. The VM cannot be used any more.
    pub fn finish(&mut self) -> Result<Template> {
        let ready = self.started && self.sandbox.as_ref().is_some_and(Sandbox::is_idle);
        let Some(mut sandbox) = self.sandbox.take_if(|_| ready) else {
            return Err(Error::new(
                Kind::Argument,
                "the VM has not finished its instantiation, or became a template",
            ));
        };
        let registers = sandbox.machine.registers()?;
        let memory = sandbox.memory_range(None).map_err(|_| {
            Error::new(Kind::Internal, format!("the default memory of a new guest: {}", sandbox.message()))
        })?;
        // with the VM's memory goes the last writable mapping of the file
        let (interface, retired) = sandbox.retire();
        let file = self.file.try_clone().map_err(|e| Error::os("keeping the snapshot's file", &e))?;
        let identity = self.identity.clone();
        let snapshot = Snapshot::new(self.host.clone(), file, registers, self.layout.clone(), identity)?;
        Ok(Template::new(Arc::new(snapshot), interface, self.tracking, memory, Some(retired)))
    }
}
