//! The release binary of the association function beside a hello world, in turns.

pub(crate) mod process;
pub(crate) mod size;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use local::{Function, InvocationResult, table};

use crate::Failure;
use crate::figures::{Figures, cell, ms, verdict};
use crate::rig::{self, Rig, Trusted};

/// Events of one round after the first.
const WARM: usize = 20;

/// Before each start: the process of the round before has to end.
const PAUSE: Duration = Duration::from_millis(30);

/// Where a system's certificates are: Debian's place, and that of Amazon Linux.
const BUNDLES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// What was measured of one program.
#[derive(Default)]
struct Measured {
    /// From the start of the process to its first request for work, ms.
    start: Figures,
    /// CPU until then, ms.
    start_cpu: Figures,
    /// The first event, ms.
    first: Figures,
    /// CPU of the first event, ms.
    first_cpu: Figures,
    /// An event after the first, ms.
    warm: Figures,
    /// CPU of an event after the first, ms.
    warm_cpu: Figures,
    /// Most memory that was resident, MB.
    memory: Figures,
}

pub(crate) async fn run(rounds: usize) -> Result<String, Failure> {
    let association = built("association", "cargo build --release -p association")?;
    let hello = built("hello", "cargo build --release -p benchmarks")?;
    let system = BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let system = system.unwrap_or_default();
    let roots = 1 + system.matches("-----BEGIN CERTIFICATE-----").count();
    let one = Trusted::make("one", "")?;
    let many = Trusted::make("many", &system)?;

    let mut measured: [Measured; 3] = Default::default();
    let [with_one, with_many, of_hello] = &mut measured;
    // The first round warms caches and is not kept.
    for round in 0..=rounds {
        let mut unkept: [Measured; 3] = Default::default();
        let [a, b, c] = &mut unkept;
        let kept = round > 0;
        measure_association(&association, &one, if kept { &mut *with_one } else { a }).await?;
        measure_hello(&hello, if kept { &mut *of_hello } else { c }).await?;
        measure_association(&association, &many, if kept { &mut *with_many } else { b }).await?;
        measure_hello(&hello, if kept { &mut *of_hello } else { c }).await?;
    }
    let sizes = [size::of(&association)?, size::of(&association)?, size::of(&hello)?];
    let headings = [
        "".to_owned(),
        "one root".to_owned(),
        format!("{roots} roots"),
        "hello world".to_owned(),
        "goal".to_owned(),
        String::new(),
    ];
    let headings = headings.each_ref().map(String::as_str);
    let rows = rows(&measured, &sizes);
    Ok(format!(
        "The association function, with one and with {roots} certificates in SSL_CERT_FILE, beside \
         a hello world;\nmedians of {rounds} rounds in turns, {WARM} warm events each\n{}",
        table(headings, &rows)
    ))
}

/// The release binary of a package, which cargo puts beside this one.
pub(crate) fn built(name: &str, command: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is missing; build it with `{command}`", path.display()).into())
}

/// One cold start, its first event and more, against an AWS that has seen the cluster before.
async fn measure_association(
    path: &Path,
    trusted: &Trusted,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let mut rig = Rig::start(rig::program(path), trusted).await?;
    rig.settle().await?;
    rig.function.kill();
    let mut clock = Clock::start(&rig.function, measured).await?;
    for number in 0..=WARM {
        let event = rig.assigned(&format!("svc-{number}"), 1 + number);
        let begin = Instant::now();
        rig.deliver(&[event]).await?;
        let took = ms(begin.elapsed());
        clock.lap(&rig.function, number, took, measured).await?;
    }
    clock.finish(measured)
}

async fn measure_hello(path: &Path, measured: &mut Measured) -> Result<(), Failure> {
    // It calls no AWS.
    let hello =
        rig::function("hello", rig::program(path), "http://127.0.0.1:9", BTreeMap::default());
    let mut clock = Clock::start(&hello, measured).await?;
    for number in 0..=WARM {
        let begin = Instant::now();
        let result = hello.invoke(r#"{"firstName":"world"}"#).await?;
        let took = ms(begin.elapsed());
        if !matches!(result, InvocationResult::Answer(_)) {
            return Err(format!("the hello world did not answer: {result:?}").into());
        }
        clock.lap(&hello, number, took, measured).await?;
    }
    clock.finish(measured)
}

/// Follows the CPU of one child.
struct Clock {
    process: u32,
    cpu: f64,
}

impl Clock {
    /// Starts the function's process, once what came before has left the processors.
    async fn start(function: &Function, measured: &mut Measured) -> Result<Self, Failure> {
        tokio::time::sleep(PAUSE).await;
        let ready = function.ready().await?;
        let cpu = process::cpu_ms(ready.process_id)?;
        measured.start.add(ms(ready.since - ready.started));
        measured.start_cpu.add(cpu);
        Ok(Self { process: ready.process_id, cpu })
    }

    /// An event is over, by its number. The child's CPU is read once it asks for more work.
    async fn lap(
        &mut self,
        function: &Function,
        number: usize,
        took: f64,
        measured: &mut Measured,
    ) -> Result<(), Failure> {
        function.ready().await?;
        let cpu = process::cpu_ms(self.process)?;
        let (wall, used) = match number {
            0 => (&mut measured.first, &mut measured.first_cpu),
            _ => (&mut measured.warm, &mut measured.warm_cpu),
        };
        wall.add(took);
        used.add(cpu - self.cpu);
        self.cpu = cpu;
        Ok(())
    }

    fn finish(self, measured: &mut Measured) -> Result<(), Failure> {
        measured.memory.add(process::peak_mb(self.process)?);
        Ok(())
    }
}

fn rows(measured: &[Measured; 3], sizes: &[size::Size; 3]) -> Vec<[String; 6]> {
    let row = |name: &str, figure: &dyn Fn(&Measured) -> &Figures| {
        (name.to_owned(), measured.each_ref().map(|one| figure(one).median()))
    };
    let (name, start) = row("start to first `next`, ms", &|one| &one.start);
    let twice = 2.0 * start[2];
    // The worse of the two columns has to keep to the goal.
    let judged = |(name, cells): (String, [f64; 3]), goal: Option<f64>| {
        let worst = cells[0].max(cells[1]);
        let [a, b, c] = cells.map(cell);
        let (goal, verdict) = match goal {
            Some(goal) => (format!("<= {goal:.2}"), verdict(worst, goal)),
            None => Default::default(),
        };
        [name, a, b, c, goal, verdict]
    };
    vec![
        judged((name, start), Some(twice)),
        judged(("  times hello world's".to_owned(), start.map(|one| one / start[2])), Some(2.0)),
        judged(row("start, CPU ms", &|one| &one.start_cpu), None),
        judged(row("first event, ms", &|one| &one.first), None),
        judged(row("first event, CPU ms", &|one| &one.first_cpu), Some(15.0)),
        judged(row("next events, ms each", &|one| &one.warm), None),
        judged(row("next events, CPU ms each", &|one| &one.warm_cpu), None),
        judged(row("peak memory, MB", &|one| &one.memory), Some(16.0)),
        judged(("binary, MB".to_owned(), sizes.each_ref().map(|size| size.binary_mb)), None),
        judged(("zipped, MB".to_owned(), sizes.each_ref().map(|size| size.zip_mb)), Some(4.0)),
    ]
}
